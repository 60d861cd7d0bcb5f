/** Choosing among the providers of a stack (T17): each layer serves what is meant for it and passes on the rest. */
import { RopewalkError } from "../base/errors.ts";
import type { DeviceOffload, OffloadReadRequest, OffloadReadResult } from "../device/mod.ts";

/** From the outside in. */
export function providerIds(own: string, below: DeviceOffload | undefined): readonly string[] {
  return [own, ...(below?.providers ?? [])];
}

/** What serves the request instead of `own`; undefined: `own` is meant. TOKEN_UNSUPPORTED when it throws */
export function providerOf(
  own: string,
  below: DeviceOffload | undefined,
  request: OffloadReadRequest,
): (() => Promise<OffloadReadResult>) | undefined {
  const { provider } = request;
  if ("id" in provider ? provider.id === own : provider.skip === 0) return undefined;
  if (below === undefined)
    return () => Promise.reject(new RopewalkError("TOKEN_UNSUPPORTED", "The stack has no such provider."));
  const passed = "id" in provider ? provider : { skip: provider.skip - 1 };
  return () => below.read({ ...request, provider: passed });
}
