// `npm run generate`: writes the parts of the documents that are made from the code: the import picture, the
// table of errors, the OpenAPI document, the schema of the configuration. `npm run check` fails when one of the first
// three is stale, a test when the schema is.
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { configSchema } from "../../src/control/mod.ts";
import { errorDocumentFile, errorTable, errorTableName, loadErrorCatalogue } from "./error-document.ts";
import { drawImports, importPictureFile, importPictureName } from "./import-picture.ts";
import { readImportTable } from "./import-table.ts";
import { withMarkedPart } from "./marked-part.ts";
import { generateOpenApi, openApiFile } from "./open-api-document.ts";

const root = resolve(import.meta.dirname, "../..");

writePart(importPictureFile, { name: importPictureName, text: drawImports(readImportTable()) });

const catalogue = await loadErrorCatalogue(root);
if (catalogue) writePart(errorDocumentFile, { name: errorTableName, text: errorTable(catalogue) });

const openApi = await generateOpenApi(root);
if (openApi !== undefined) writeFile(openApiFile, `${JSON.stringify(openApi, null, 2)}\n`);

writeFile("docs/config.schema.json", `${JSON.stringify(configSchema(), null, 2)}\n`);

function writePart(file: string, part: { name: string; text: string }): void {
  writeFile(file, withMarkedPart(readFileSync(join(root, file), "utf8"), part));
}

function writeFile(file: string, text: string): void {
  writeFileSync(join(root, file), text);
  console.log(`wrote ${file}`);
}
