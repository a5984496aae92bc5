/** Event streams and WebSockets that slow clients cannot make grow, and that end when their server does. */

export { type OverflowPolicy, type DropReason } from "./backlog.ts";
export type { StreamClosed, StreamOpened, StreamOrigin, StreamRejected } from "./channels.ts";
export type { StreamCloseReason, StreamRejectReason } from "./instruments.ts";
export { defaultStreams, sse } from "./sse.ts";
export { SseChannel, type ChannelEvent, type SseChannelStats } from "./sse-channel.ts";
export type { SseChannelOptions, SseHistoryOptions } from "./sse-channel-options.ts";
export { type SseEvent } from "./sse-encoder.ts";
export type { SseOptions } from "./sse-options.ts";
export { type SseState, type SseStream } from "./sse-stream.ts";
export { type StreamsDrainReport } from "./open-streams.ts";
export { Streams, type StreamsStats } from "./streams.ts";
export type { StreamsDrainOptions, StreamsOptions } from "./streams-options.ts";
export {
  BoundedWebSocket,
  type MessageOptions,
  type WebSocketHost,
  type WebSocketParts,
  type WebSocketPort,
} from "./bounded-web-socket.ts";
export { chooseProtocol, type UpgradeRefusal } from "./upgrade-rules.ts";
export { WebSockets, type UpgradeDecision, type WebSocketsStats } from "./web-sockets.ts";
export type { WebSocketsDrainOptions, WebSocketsOptions } from "./web-sockets-options.ts";
