/*
 * Datagrams at the rates that one thread of C manages; compiled when the benchmark runs.
 *   relay ADDRESS PORT TARGET-PORT TARGET...      what is measured against: plain calls, one datagram each, as most relays do
 *   echo PORT ADDRESS...                          back-ends
 *   load ADDRESS PORT CLIENTS WINDOW BYTES MS     clients; writes what it found as one line of JSON
 * Echo and load take and give many datagrams with one call, so that the relay between them is what is measured.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, ROOM = 2048, BUFFER = 4 << 20, CLIENTS = 1024, SLOTS = 65536, SAMPLES = 1 << 20, WARM_UP_MS = 150, RESEND_MS = 50 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static struct sockaddr_in place(const char *address, int port) {
  struct sockaddr_in made = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, address, &made.sin_addr) != 1) fail(address);
  return made;
}

static int open_socket(const struct sockaddr_in *own, const struct sockaddr_in *other) {
  int size = BUFFER;
  int made = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (made < 0) fail("socket");
  setsockopt(made, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  setsockopt(made, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (own && bind(made, (const struct sockaddr *)own, sizeof *own)) fail("bind");
  if (other && connect(made, (const struct sockaddr *)other, sizeof *other)) fail("connect");
  return made;
}

static void watch(int poll, int socket, uint32_t what) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};
  if (epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event)) fail("epoll_ctl");
}

/* ---- relay ---- */

static struct flow {
  struct sockaddr_in client;
  int socket;
} flows[SLOTS];

static void relay(char **given, int count) {
  struct sockaddr_in own = place(given[0], atoi(given[1]));
  int port = atoi(given[2]), targets = count - 3, next = 0, poll = epoll_create1(0);
  int mouth = open_socket(&own, NULL);
  static char bytes[65536];
  struct epoll_event events[256];
  watch(poll, mouth, SLOTS);
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    int ready = epoll_wait(poll, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      uint32_t which = events[i].data.u32;
      for (int left = BATCH; left > 0; left--) {
        if (which == SLOTS) {
          struct sockaddr_in from;
          socklen_t length = sizeof from;
          ssize_t got = recvfrom(mouth, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &length);
          if (got < 0) break;
          uint32_t slot = (from.sin_addr.s_addr * 2654435761u ^ from.sin_port * 40503u) % SLOTS;
          while (flows[slot].socket && (flows[slot].client.sin_port != from.sin_port ||
                                        flows[slot].client.sin_addr.s_addr != from.sin_addr.s_addr))
            slot = (slot + 1) % SLOTS;
          if (!flows[slot].socket) {
            struct sockaddr_in target = place(given[3 + next++ % targets], port);
            flows[slot] = (struct flow){from, open_socket(NULL, &target)};
            watch(poll, flows[slot].socket, slot);
          }
          send(flows[slot].socket, bytes, got, 0);
        } else {
          ssize_t got = recv(flows[which].socket, bytes, sizeof bytes, 0);
          if (got < 0) break;
          sendto(mouth, bytes, got, 0, (struct sockaddr *)&flows[which].client, sizeof flows[which].client);
        }
      }
    }
  }
}

/* ---- many datagrams with one call ---- */

static char rooms[BATCH][ROOM];
static struct iovec pieces[BATCH];
static struct sockaddr_in names[BATCH];
static struct mmsghdr messages[BATCH];

static void prepare(void) {
  for (int i = 0; i < BATCH; i++) {
    pieces[i] = (struct iovec){rooms[i], ROOM};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1, .msg_name = &names[i]};
  }
}

static int take(int socket, int most) {
  for (int i = 0; i < most; i++) {
    pieces[i].iov_len = ROOM;
    messages[i].msg_hdr.msg_namelen = sizeof names[i];
  }
  return recvmmsg(socket, messages, most, 0, NULL);
}

static void give(int socket, int count) {
  for (int sent = 0; sent < count;) {
    int some = sendmmsg(socket, messages + sent, count - sent, 0);
    if (some < 0 && errno != ECONNREFUSED) return;
    sent += some < 0 ? 0 : some;
  }
}

static void echo(char **given, int count) {
  int poll = epoll_create1(0);
  struct epoll_event events[64];
  for (int i = 1; i < count; i++) {
    struct sockaddr_in own = place(given[i], atoi(given[0]));
    int socket = open_socket(&own, NULL);
    watch(poll, socket, socket);
  }
  prepare();
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    int ready = epoll_wait(poll, events, 64, -1);
    for (int i = 0; i < ready; i++) {
      int got;
      while ((got = take(events[i].data.u32, BATCH)) > 0) {
        for (int k = 0; k < got; k++) pieces[k].iov_len = messages[k].msg_len;
        give(events[i].data.u32, got);
        if (got < BATCH) break;
      }
    }
  }
}

/* ---- load: every client has so many datagrams under way, and sends another for each answer ---- */

static int sockets[CLIENTS];
static int64_t heard_at[CLIENTS];
static float samples[SAMPLES];

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* Answers that came are in the messages; each becomes the next question. */
static void ask(int socket, int count, int bytes, int64_t now) {
  for (int k = 0; k < count; k++) {
    memcpy(rooms[k], &now, sizeof now);
    pieces[k].iov_len = bytes;
    messages[k].msg_hdr.msg_namelen = 0;
  }
  struct sockaddr_in *none = NULL;
  for (int k = 0; k < count; k++) messages[k].msg_hdr.msg_name = none;
  give(socket, count);
  for (int k = 0; k < count; k++) messages[k].msg_hdr.msg_name = &names[k];
}

static int load(char **given) {
  struct sockaddr_in other = place(given[0], atoi(given[1]));
  int clients = atoi(given[2]), window = atoi(given[3]), bytes = atoi(given[4]), ms = atoi(given[5]);
  if (clients > CLIENTS || window > BATCH || bytes < 8 || bytes > ROOM) return 2;
  int poll = epoll_create1(0);
  struct epoll_event events[256];
  prepare();
  int64_t begun = now_ns(), counted = begun + WARM_UP_MS * 1000000LL, end = counted + ms * 1000000LL, looked = begun;
  for (int i = 0; i < clients; i++) {
    sockets[i] = open_socket(NULL, &other);
    watch(poll, sockets[i], i);
    heard_at[i] = begun;
    ask(sockets[i], window, bytes, now_ns());
  }
  int64_t answers = 0, resent = 0, taken = 0, now;
  while ((now = now_ns()) < end) {
    int ready = epoll_wait(poll, events, 256, 10);
    for (int i = 0; i < ready; i++) {
      int which = events[i].data.u32, got = take(sockets[which], BATCH);
      if (got <= 0) continue;
      now = now_ns();
      heard_at[which] = now;
      if (now >= counted) {
        answers += got;
        for (int k = 0; k < got && taken < SAMPLES; k++) {
          int64_t sent;
          memcpy(&sent, rooms[k], sizeof sent);
          samples[taken++] = (now - sent) / 1000.0f;
        }
      }
      ask(sockets[which], got, bytes, now);
    }
    if (now - looked < RESEND_MS * 1000000LL) continue;
    looked = now;
    for (int i = 0; i < clients; i++) {
      if (now - heard_at[i] < RESEND_MS * 1000000LL) continue;
      heard_at[i] = now;
      resent += window;
      ask(sockets[i], window, bytes, now);
    }
  }
  qsort(samples, taken, sizeof samples[0], by_size);
  float none = -1;
#define AT(q) (taken ? samples[(int64_t)((q) * (taken - 1))] : none)
  printf("{\"perSecond\":%.1f,\"resent\":%lld,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f}\n", answers * 1000.0 / ms,
         (long long)resent, AT(0.5), AT(0.99), AT(0.999));
  return 0;
}

int main(int count, char **given) {
  if (count >= 6 && !strcmp(given[1], "relay")) relay(given + 2, count - 2);
  if (count >= 4 && !strcmp(given[1], "echo")) echo(given + 2, count - 2);
  if (count == 8 && !strcmp(given[1], "load")) return load(given + 2);
  fprintf(stderr, "relay, echo or load\n");
  return 2;
}
