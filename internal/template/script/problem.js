// What is wrong with a template, said to its author: a sentence and a place.
// Lines and columns count from 1.

/** Thrown by everything that refuses a template. */
function Problem(message, line, column) {
  this.message = message;
  this.line = line;
  this.column = column;
}

/** A Problem at the start of a node of the syntax tree. */
function problemAt(node, message) {
  const start = node.loc.start;
  return new Problem(message, start.line, start.column + 1);
}

/** What the parser met, by token name; everything else is quoted as it stands. */
const unexpected = {
  __proto__: null,
  OPEN_ENDBLOCK: 'this closing tag closes no open block',
  OPEN_INVERSE_CHAIN: '{{else}} stands outside of a block',
  INVERSE: '{{else}} stands outside of a block',
};

/** What the lexer was inside of when no token fitted, by its state. */
const unlexable = {
  __proto__: null,
  com: 'this comment is never closed',
  raw: 'this raw block is never closed',
};

/** Replaces the parser's own report, which shows states of the grammar. */
function refuseToken(parser, hash) {
  const { lexer } = parser;
  const at = lexer.yylloc;
  if (hash.token === null) {
    const state = lexer.conditionStack[lexer.conditionStack.length - 1];
    throw new Problem(unlexable[state] || 'this character is not allowed', at.last_line, at.last_column + 1);
  }
  if (hash.token === 'EOF' && hash.expected.includes("'OPEN_ENDBLOCK'")) throw unclosedBlock(parser);
  const quoted = `${JSON.stringify(hash.text)} is not expected here${wanted(hash)}`;
  const message = unclosedTag(lexer, hash) || unexpected[hash.token] || quoted;
  throw new Problem(message, at.first_line, at.first_column + 1);
}

/** Names what would have been right, where one thing would. */
function wanted({ token, expected }) {
  const is = (name) => expected.includes(`'${name}'`);
  if (token.startsWith('CLOSE') && is('CLOSE_UNESCAPED')) return ', it should be }}}';
  if (token.startsWith('CLOSE') && is('CLOSE')) return ', it should be }}';
  return is('ID') ? ', a name should follow' : '';
}

/** Says so when a tag has no end before the next one starts, or none at all. */
function unclosedTag(lexer, { token, expected }) {
  if (token.startsWith('OPEN') && expected.includes("'CLOSE'")) return 'the tag before this one is never closed';
  const tag = lexer.matched.lastIndexOf('{{');
  const closed = lexer.matched.includes('}}', tag) || lexer._input.includes('}}');
  return tag < 0 || closed ? '' : 'this tag is never closed';
}

/** Reads the tokens once more to find the innermost block that is left open. */
function unclosedBlock(parser) {
  const { lexer } = parser;
  const open = [];
  lexer.setInput(lexer.matched);
  for (let token = lexer.lex(); token && token !== lexer.EOF; token = lexer.lex()) {
    const name = parser.terminals_[token] || token;
    if (name === 'EOF') break;
    if (name === 'OPEN_BLOCK' || name === 'OPEN_INVERSE' || name === 'OPEN_PARTIAL_BLOCK') {
      const { first_line: line, first_column: column } = lexer.yylloc;
      const tag = lexer.yytext;
      lexer.lex();
      open.push(new Problem(`${tag}${lexer.yytext}}} is never closed`, line, column + 1));
    } else if (name === 'OPEN_ENDBLOCK') {
      open.pop();
    }
  }
  return open.pop();
}

/** The Problem that an error of Handlebars' own stands for; undefined for any other error. */
function problemOf(error) {
  if (error instanceof Problem) return error;
  if (!(error instanceof Handlebars.Exception)) return undefined;
  const message = error.message
    .replace(/ - \d+:\d+$/, '')
    .replace(/^Invalid path: (.*)$/, '$1 is not a path')
    .replace(/^(.*) doesn't match (.*)$/, '{{#$1}} is closed by {{/$2}}');
  return new Problem(message, error.lineNumber, error.column + 1);
}
