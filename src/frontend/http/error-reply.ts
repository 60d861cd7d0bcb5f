/**
 * Turns whatever went wrong into the one form of error answer.
 * Always holds: the status is the catalogue's; a defect's details go to the log and never to the client.
 */
import { RopewalkError } from "../../base/errors.ts";
import { errorJson } from "./work-json.ts";

/** Errors of the HTTP library, by its own codes. */
const LIBRARY_ERRORS: Record<string, RopewalkError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: new RopewalkError("TOO_LARGE", "The body is larger than the server takes."),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: new RopewalkError(
    "INVALID_ARGUMENT",
    "The body's type is not known; send JSON with content-type: application/json.",
  ),
  FST_ERR_BAD_URL: new RopewalkError("INVALID_ARGUMENT", "The URL is not well-formed."),
};

/** Errors of the HTTP parser, before there is a request. */
const PARSER_ERRORS: Record<string, RopewalkError> = {
  HPE_HEADER_OVERFLOW: new RopewalkError("TOO_LARGE", "The headers are larger than the server takes."),
  ERR_HTTP_REQUEST_TIMEOUT: new RopewalkError("TIMEOUT", "The request did not arrive in time."),
};
const NOT_HTTP = new RopewalkError("PROTOCOL_ERROR", "This is not an HTTP request.");

interface LibraryError extends Error {
  readonly code?: string;
  readonly statusCode?: number;
}

/** The catalogued error to answer with. INTERNAL stands for every defect; its details are in the cause. */
export function asAnswer(error: unknown): RopewalkError {
  if (error instanceof RopewalkError) return error.code === "INTERNAL" ? hidden(error.cause ?? error) : error;
  const { code, statusCode, message } = error as LibraryError;
  const known = LIBRARY_ERRORS[code ?? ""];
  if (known) return known;
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new RopewalkError("INVALID_ARGUMENT", `The request is not valid: ${message}.`);
  return hidden(error);
}

/** A whole answer as bytes of HTTP/1.1, for a connection on which no request could be read. */
export function answerToParserError(code: string): string {
  const error = PARSER_ERRORS[code] ?? NOT_HTTP;
  const body = JSON.stringify(errorJson(error));
  return [
    `HTTP/1.1 ${error.entry.http} ${error.code}`,
    "Content-Type: application/json; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
    "",
    body,
  ].join("\r\n");
}

function hidden(cause: unknown): RopewalkError {
  return new RopewalkError("INTERNAL", "The server has a defect; its log has the details.", { cause });
}
