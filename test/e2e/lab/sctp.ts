import { run } from './command.ts';

/** The lab's kernel has no SCTP sockets: an INIT chunk from a raw socket, with the checksum that the protocol wants (CRC32c). */
export async function sendSctpInit(namespace: string, to: string, port: number): Promise<void> {
  const program = `
import socket, struct, sys
def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff
chunk = struct.pack('!BBHIIHHI', 1, 0, 20, 0x1234, 65535, 1, 1, 1)
head = struct.pack('!HHI', 40000, int(sys.argv[2]), 0)
packet = head + struct.pack('<I', crc32c(head + bytes(4) + chunk)) + chunk
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
s.sendto(packet, (sys.argv[1], 0))
`;
  await run('nsenter', [`--net=/run/netns/${namespace}`, 'python3', '-c', program, to, String(port)]);
}
