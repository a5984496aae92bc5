/** Times that the cases of stores share. */

/** For an add to an engine that is well. */
export const addTimeoutMs = 10_000;

/** How soon all flows again once an engine is back. */
export const recoveryMs = 5_000;

/** For how long nothing must happen, where nothing is what a test asks for. */
export const quietMs = 300;
