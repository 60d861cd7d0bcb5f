/** A JSON array in pieces, so that a long list is neither one long text in memory nor one long turn of the loop. */

/** A piece is sent when it has at least this many characters. */
const PIECE_CHARACTERS = 16_384;

/** One element a line. `nextTurn` lets others have the loop between two pieces. */
export async function* streamedArray<Element>(
  elements: Iterable<Element>,
  toJson: (element: Element) => object,
  nextTurn: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  let piece = "[";
  let separator = "\n";
  for (const element of elements) {
    piece += separator + JSON.stringify(toJson(element));
    separator = ",\n";
    if (piece.length < PIECE_CHARACTERS) continue;
    yield encoder.encode(piece);
    piece = "";
    await nextTurn();
  }
  yield encoder.encode(`${piece}\n]\n`);
}
