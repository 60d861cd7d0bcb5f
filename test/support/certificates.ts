// A certificate authority, a server's and a client's certificate, made by openssl in a folder, with the file
// names that libnbd looks for.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "./run-program.ts";

export interface Certificates {
  /** Holds ca-cert.pem, client-cert.pem, client-key.pem. */
  readonly folder: string;
  readonly authority: string;
  readonly server: { readonly certificate: string; readonly key: string };
  readonly client: { readonly certificate: string; readonly key: string };
}

export async function makeCertificates(folder: string): Promise<Certificates> {
  const openssl = (...parameters: string[]) => runProgram("openssl", parameters, { folder });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl(
    "req",
    "-x509",
    ...key,
    "-days",
    "2",
    "-subj",
    "/CN=test authority",
    "-keyout",
    "ca-key.pem",
    "-out",
    "ca-cert.pem",
  );
  writeFileSync(join(folder, "names.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  for (const who of ["server", "client"]) {
    await openssl(
      "req",
      "-new",
      ...key,
      "-subj",
      "/CN=localhost",
      "-keyout",
      `${who}-key.pem`,
      "-out",
      `${who}.csr`,
    );
    const sign = [
      "-CA",
      "ca-cert.pem",
      "-CAkey",
      "ca-key.pem",
      "-CAcreateserial",
      "-days",
      "2",
      "-extfile",
      "names.ext",
    ];
    await openssl("x509", "-req", "-in", `${who}.csr`, ...sign, "-out", `${who}-cert.pem`);
  }
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  const pair = (who: string) => ({ certificate: read(`${who}-cert.pem`), key: read(`${who}-key.pem`) });
  return { folder, authority: read("ca-cert.pem"), server: pair("server"), client: pair("client") };
}
