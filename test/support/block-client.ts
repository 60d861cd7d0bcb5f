// What the torture needs of an NBD client, so that its writer can be proved on a plain array as well.

export interface BlockClient {
  read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
  write(offsetBytes: number, bytes: Uint8Array, options: { fua: boolean }): Promise<void>;
  zero(offsetBytes: number, lengthBytes: number): Promise<void>;
  trim(offsetBytes: number, lengthBytes: number): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

const PIECE_BYTES = 2 ** 20;

/** The whole content of what the client is connected to. */
export async function readAll(client: BlockClient, sizeBytes: number): Promise<Uint8Array> {
  const content = new Uint8Array(sizeBytes);
  for (let offset = 0; offset < sizeBytes; offset += PIECE_BYTES) {
    content.set(await client.read(offset, Math.min(PIECE_BYTES, sizeBytes - offset)), offset);
  }
  return content;
}
