#!/bin/sh
# Process 1 of a node: mounts of its own, then containerd, kubelet and kube-proxy until it is killed, and every pod with it.
# Called in new mount, pid, uts and ipc namespaces and in the node's network namespace, with NODE, ADDRESS, HOME_DIR, CGROUP,
# POD_RANGE, CLUSTER_RANGE, KUBECONFIG_NODE, KUBECONFIG_PROXY, CNI_BIN, KUBELET and KUBE_PROXY in the environment.
set -eu

# Nothing that is mounted below reaches the machine.
mount --make-rprivate /
mount -t proc proc /proc

# A /sys of this network namespace, with the machine's control groups put back on it.
mkdir -p "$HOME_DIR/cgroup" "$HOME_DIR/lib" "$HOME_DIR/log"
mount --rbind /sys/fs/cgroup "$HOME_DIR/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$HOME_DIR/cgroup" /sys/fs/cgroup
umount --lazy "$HOME_DIR/cgroup"

# The kubelet passes mounts on to pods. Only now: shared before, the umount above would have gone to the copies as well.
mount --make-rshared /
mount --bind "$HOME_DIR/lib" /var/lib
mount --bind "$HOME_DIR/log" /var/log
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns /var/log/pods /var/log/containers
hostname "$NODE"
sysctl -qw net.ipv4.ip_forward=1

mkdir -p "$HOME_DIR/cni"
cat >"$HOME_DIR/cni/10-lab.conflist" <<CONFIG
{ "cniVersion": "0.4.0", "name": "lab", "plugins": [
  { "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
    "ipam": { "type": "host-local", "ranges": [[{ "subnet": "$POD_RANGE" }]], "routes": [{ "dst": "0.0.0.0/0" }] } },
  { "type": "portmap", "capabilities": { "portMappings": true } } ] }
CONFIG
# Where root may not take CAP_SYS_RESOURCE, runc cannot lower a pod's oom_score_adj, and every sandbox would fail.
cat >"$HOME_DIR/containerd.toml" <<CONFIG
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "$HOME_DIR/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.10"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CNI_BIN"
    conf_dir = "$HOME_DIR/cni"
CONFIG
# The nodes are in a network that nobody else reaches, so the kubelet asks nobody who may read logs and exec.
cat >"$HOME_DIR/kubelet.yaml" <<CONFIG
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://$HOME_DIR/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: $CGROUP
failCgroupV1: false
failSwapOn: false
protectKernelDefaults: false
authentication: { anonymous: { enabled: true }, webhook: { enabled: false } }
authorization: { mode: AlwaysAllow }
clusterDomain: cluster.local
resolvConf: ""
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 4s
syncFrequency: 10s
evictionHard: { nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", imagefs.inodesFree: "0%", memory.available: 50Mi }
CONFIG

containerd --config "$HOME_DIR/containerd.toml" >"$HOME_DIR/containerd.log" 2>&1 &
while ! [ -S "$HOME_DIR/containerd.sock" ]; do sleep 0.1; done
"$KUBELET" --config="$HOME_DIR/kubelet.yaml" --kubeconfig="$KUBECONFIG_NODE" --hostname-override="$NODE" --node-ip="$ADDRESS" \
  >"$HOME_DIR/kubelet.log" 2>&1 &
# The sysctls behind the last four cannot be written in a namespace: without 0 it gives up.
"$KUBE_PROXY" --proxy-mode=nftables --kubeconfig="$KUBECONFIG_PROXY" --hostname-override="$NODE" --cluster-cidr="$CLUSTER_RANGE" \
  --nodeport-addresses=primary --conntrack-max-per-core=0 --conntrack-min=0 \
  --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s >"$HOME_DIR/kube-proxy.log" 2>&1 &
wait # and reap whatever is left to process 1
