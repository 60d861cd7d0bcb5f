/** The body of every answer that is not a success: a code of the catalogue and a sentence. */
import { type Static, Type } from "@sinclair/typebox";
import { ERROR_CATALOGUE, type ErrorCode } from "../../base/errors.ts";

export const ErrorSchema = Type.Object(
  {
    code: Type.Unsafe<ErrorCode>({
      type: "string",
      enum: Object.keys(ERROR_CATALOGUE).sort(),
      description: "What went wrong, for programs; docs/errors.md has the meanings.",
    }),
    message: Type.String({ description: "What happened and what to do, for people." }),
  },
  { $id: "Error", additionalProperties: false },
);

export type ErrorJson = Static<typeof ErrorSchema>;

/** Answers of a route besides its success. */
export const errorResponses = {
  "4xx": Type.Unsafe<ErrorJson>({ $ref: "Error#", description: "The request was refused." }),
  "5xx": Type.Unsafe<ErrorJson>({ $ref: "Error#", description: "The request failed." }),
};
