/** For an error that somebody else is told of: without a listener, an emitter's error ends the process. */
export function ignoreError(): void {}
