/** interim */
import type { Socket } from "node:net";
export function startLinger(socket: Socket): void {
  socket.end();
  socket.resume();
}
export function refuse(
  socket: Socket,
  answer: { readonly status: number; readonly message: string; readonly retryAfterMs: number },
): void {
  if (socket.writable)
    socket.write(
      `HTTP/1.1 ${answer.status} X\r\nConnection: close\r\nContent-Length: ${answer.message.length}\r\n\r\n${answer.message}`,
    );
  startLinger(socket);
}
