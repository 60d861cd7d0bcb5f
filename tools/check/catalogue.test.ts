// A row of docs/catalogue.md cannot claim what no test proves.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { compareCatalogue } from "./catalogue.ts";
import { fixtureRepository } from "./fixture-repository.ts";

const wanted = { T: 2 };
const second = "| T2 | Moves data. | not yet | | |";

function problems(context: TestContext, ...rows: string[]): string[] {
  const root = fixtureRepository(context, {
    "test/token.test.ts": 'test("a token (T1) stands", () => {});\n',
  });
  return compareCatalogue(root, rows.join("\n"), wanted);
}

test("rows that are proven or honestly open pass", (context) => {
  const row = '| T1 | Makes tokens. | offered | CLI | `test/token.test.ts` "a token (T1) stands" |';
  assert.deepEqual(problems(context, row, second), []);
});

for (const { sentence, row, expected } of [
  { sentence: "a missing row is named", row: "", expected: /T1 is missing/ },
  {
    sentence: "a row that stands twice is named",
    row: "| T1 | Makes. | not yet | | |\n".repeat(2),
    expected: /T1 stands twice/,
  },
  {
    sentence: "an offered row without a test is named",
    row: "| T1 | Makes. | offered | CLI | |",
    expected: /T1 is offered without a test/,
  },
  {
    sentence: "an unknown status is named",
    row: "| T1 | Makes. | done | CLI | |",
    expected: /T1 has status "done"/,
  },
  {
    sentence: "a test file that does not exist is named",
    row: '| T1 | Makes. | partly | CLI | `test/no.test.ts` "a" |',
    expected: /T1 names test\/no\.test\.ts, which does not exist/,
  },
  {
    sentence: "a title that is not in the file is named",
    row: '| T1 | Makes. | partly | CLI | `test/token.test.ts` "a token" |',
    expected: /T1 names a test "a token" that is not in/,
  },
  {
    sentence: "a proof that npm test does not run is named",
    row: '| T1 | Makes. | partly | CLI | `sim/main.ts` "a" |',
    expected: /which npm test does not run/,
  },
])
  test(sentence, (context) => {
    const found = problems(context, row, second);
    assert.equal(found.length, 1, found.join("\n"));
    assert.match(found[0]!, expected);
  });
