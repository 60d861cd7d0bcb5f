/** Memory for commands in work: the budget that all front ends have. */
export { ByteAccount, ByteBudget, type ByteRequest } from "../stream/mod.ts";
