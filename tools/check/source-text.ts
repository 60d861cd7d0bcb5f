// TypeScript source as the checks see it: comments and the insides of strings blanked, every character still
// at its place, so that a word found in it is code. Knows strings, templates with code inside, comments and
// regular expressions; it is a scanner, not a parser, and takes formatted code (see biome.json).

/** Words after which a slash begins a regular expression, not a division. */
const beforeExpression =
  /(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await|yield)$/;

/** The text with comments and string contents replaced by spaces; quotes and line breaks stay. */
export function maskSource(text: string): string {
  const out = text.split("");
  /** One entry per open template, holding the number of braces open in its current `${…}`. */
  const templates: number[] = [];
  let at = 0;

  const blank = (from: number, to: number) => {
    for (let i = from; i < to; i++) if (out[i] !== "\n") out[i] = " ";
  };
  const blankTemplate = () => {
    const from = at;
    while (at < text.length && text[at] !== "`" && !text.startsWith("${", at))
      at += text[at] === "\\" ? 2 : 1;
    blank(from, at);
    if (text[at] === "`") templates.pop();
    at += text[at] === "`" ? 1 : 2;
  };

  while (at < text.length) {
    const char = text[at]!;
    if (text.startsWith("//", at) || (at === 0 && text.startsWith("#!"))) {
      const end = endOf(text, "\n", at);
      blank(at, end);
      at = end;
    } else if (text.startsWith("/*", at)) {
      const end = endOf(text, "*/", at + 2) + 2;
      blank(at, end);
      at = end;
    } else if (char === '"' || char === "'") {
      const end = endOfQuoted(text, at);
      blank(at + 1, end - 1);
      at = end;
    } else if (char === "`") {
      templates.push(0);
      at++;
      blankTemplate();
    } else if (char === "/" && startsRegExp(out, at)) {
      const end = endOfRegExp(text, at);
      blank(at + 1, end);
      at = end;
    } else if (templates.length > 0 && char === "{") {
      templates.push(templates.pop()! + 1);
      at++;
    } else if (templates.length > 0 && char === "}") {
      const open = templates.pop()!;
      templates.push(Math.max(0, open - 1));
      at++;
      if (open === 0) blankTemplate();
    } else at++;
  }
  return out.join("");
}

/** The 1-based line of a position. */
export function lineAt(text: string, position: number): number {
  let line = 1;
  for (let i = text.indexOf("\n"); i >= 0 && i < position; i = text.indexOf("\n", i + 1)) line++;
  return line;
}

function endOf(text: string, mark: string, from: number): number {
  const found = text.indexOf(mark, from);
  return found < 0 ? text.length : found;
}

function endOfQuoted(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== text[from] && text[at] !== "\n") at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

function startsRegExp(masked: string[], at: number): boolean {
  let before = at - 1;
  while (before >= 0 && /\s/.test(masked[before]!)) before--;
  if (before < 0 || "(,=:[!&|?{;+-*%~^<>".includes(masked[before]!)) return true;
  return beforeExpression.test(masked.slice(Math.max(0, before - 10), before + 1).join(""));
}

function endOfRegExp(text: string, from: number): number {
  let inClass = false;
  for (let at = from + 1; at < text.length; at++) {
    const char = text[at];
    if (char === "\\") at++;
    else if (char === "[") inClass = true;
    else if (char === "]") inClass = false;
    else if ((char === "/" && !inClass) || char === "\n") return at + 1;
  }
  return text.length;
}
