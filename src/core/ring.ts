/**
 * A doubly linked ring whose nodes are the things themselves.
 *
 * Queues here lose members from the middle all the time (a cancelled timer, an aborted waiter), and must do so in O(1)
 * and without garbage. A `Set` would do it too, but finding its oldest member walks over those already deleted.
 */

/**
 * One member of at most one ring. A ring is a bare node that stands for "before the first, after the last".
 *
 * Invariant: `node.ringNext.ringPrev === node` and `node.ringPrev.ringNext === node`; a node alone points to itself.
 */
export class RingNode {
  /** @internal */
  ringNext: RingNode = this;
  /** @internal */
  ringPrev: RingNode = this;
}

/** Whether the node is in a ring; of a ring's own node: whether the ring has members. */
export function isLinked(node: RingNode): boolean {
  return node.ringNext !== node;
}

/** Puts a node that is in no ring at the end of `ring`. */
export function append(ring: RingNode, node: RingNode): void {
  const last = ring.ringPrev;
  node.ringPrev = last;
  node.ringNext = ring;
  last.ringNext = node;
  ring.ringPrev = node;
}

/** Takes the node out of its ring, if it is in one. */
export function unlink(node: RingNode): void {
  node.ringPrev.ringNext = node.ringNext;
  node.ringNext.ringPrev = node.ringPrev;
  node.ringNext = node;
  node.ringPrev = node;
}
