/** What the parts of a service do, in the forms that tools read. */

export { chooseFormat, contentTypes, renderExposition, renderFamilies, type ExpositionFormat } from "./exposition.ts";
export { ProfileBuilder, type ProfileFrame, type ProfileHead, type ProfileLabels, type ValueType } from "./pprof.ts";
export { cpuIntervalMicros, heapIntervalBytes, HeapSampler, ProfileBusyError, profileCpu } from "./profiler.ts";
export { observeRuntime } from "./runtime.ts";
export { fromCpuProfile, fromHeapProfile, type CpuProfile, type HeapProfile } from "./v8-profiles.ts";
