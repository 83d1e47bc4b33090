// Walks the syntax tree of one template: refuses what tenants may not use, and
// finds out which of the variables it names.
//
// A variable is required where its absence would leave a hole: it is printed
// whichever way the blocks go. {{name}} at the top is; inside of {{#if x}} it is
// only when the {{else}} prints it too. All others are optional. Only the first
// segment of a path counts, and only where the path starts at the root of the
// variables: block parameters, @data and the items of a list are not variables.

const maxNesting = 100;

/** In a set of printed names, that a layout prints the block that it was called with. */
const theBlock = '@partial-block';

/** The helpers there are: how many arguments each takes, and whether its block has a context of its own. */
const helpers = {
  __proto__: null,
  if: { block: true, args: 1 },
  unless: { block: true, args: 1 },
  each: { block: true, args: 1, context: true },
  with: { block: true, args: 1, context: true },
  lookup: { block: false, args: 2 },
};

const refused = {
  __proto__: null,
  Decorator: 'decorators ({{* …}}) are not supported',
  DecoratorBlock: 'inline partials and decorators ({{#* …}}) are not supported',
};

/**
 * Gives {required, used}: a set of names, and a map of names to the node that names each first.
 * Throws a Problem. library is what partials come from, see partials.js.
 */
function analyse(ast, library, isRoot) {
  const used = new Map();
  const root = { isRoot, parent: null, names: null, nesting: 0, library };
  return { required: program(ast, root, used), used };
}

/** The variables that a sequence of statements prints in any case. */
function program(node, scope, used) {
  const printed = new Set();
  for (let i = 0; i < node.body.length; i++) {
    const statement = node.body[i];
    if (isRawBlock(statement)) {
      // {{{{raw}}}} prints what stands in it: it is content, not a block.
      node.body.splice(i, 1, ...rawContent(statement));
      i += statement.program.body.length - 1;
      continue;
    }
    addAll(printed, prints(statement, scope, used));
  }
  return printed;
}

function prints(statement, scope, used) {
  if (refused[statement.type]) throw problemAt(statement, refused[statement.type]);
  switch (statement.type) {
    case 'MustacheStatement':
      return call(statement, scope, used);
    case 'BlockStatement':
      return block(statement, scope, used);
    case 'PartialStatement':
    case 'PartialBlockStatement':
      return partialCall(statement, scope, used);
    default: // content and comments
      return new Set();
  }
}

/** An ordinary block has flags of its opening tag in openStrip, a raw block has none. */
function isRawBlock(node) {
  return node.type === 'BlockStatement' && !('open' in node.openStrip);
}

function rawContent(node) {
  if (node.path.original !== 'raw' || hasArguments(node)) {
    throw problemAt(node, 'a block in four braces can only be {{{{raw}}}} … {{{{/raw}}}}');
  }
  return node.program.body;
}

/** {{#helper x}} … {{else}} … {{/helper}}, or {{#x}} … {{/x}}: its two ways, and what both print. */
function block(node, scope, used) {
  let inside = deeper(node, scope);
  if (isHelperCall(node, scope)) {
    const helper = checkHelper(node, true);
    argumentsOf(node, scope, used);
    if (helper.context) inside = { ...inside, isRoot: false, parent: scope };
  } else {
    value(node.path, scope, used);
    inside = { ...inside, isRoot: false, parent: scope };
  }
  const names = node.program && node.program.blockParams;
  if (names) inside = { ...inside, names: { list: names, outer: scope.names } };
  const main = node.program ? program(node.program, inside, used) : new Set();
  const other = node.inverse ? program(node.inverse, deeper(node, scope), used) : new Set();
  return new Set([...main].filter((name) => other.has(name)));
}

/** {{x}}, {{lookup x y}}, (lookup x y): the variables that its value comes from. */
function call(node, scope, used) {
  if (!isHelperCall(node, scope)) return value(node.path, scope, used);
  checkHelper(node, false);
  return argumentsOf(node, scope, used);
}

function argumentsOf(node, scope, used) {
  const found = new Set();
  const pairs = node.hash ? node.hash.pairs.map((pair) => pair.value) : [];
  for (const argument of [...node.params, ...pairs]) {
    if (argument.type === 'SubExpression') addAll(found, call(argument, deeper(argument, scope), used));
    else if (argument.type === 'PathExpression') addAll(found, value(argument, scope, used));
  }
  return found;
}

/** The variable at the start of a path, as a set of one or none. */
function value(path, scope, used) {
  const name = rootVariable(path, scope);
  if (name === undefined) return new Set();
  if (!used.has(name)) used.set(name, path);
  return new Set([name]);
}

function rootVariable(path, scope) {
  if (path.type !== 'PathExpression') return String(path.original); // {{"a name"}}, {{12}}
  const [first, second] = path.parts;
  if (path.data) return first === 'root' ? second : undefined;
  if (isBlockParam(path, scope)) return undefined;
  let context = scope;
  for (let up = path.depth; up > 0 && context; up--) context = context.parent;
  return context && context.isRoot ? first : undefined;
}

function isBlockParam(path, scope) {
  if (path.type !== 'PathExpression' || path.data || path.depth || Handlebars.AST.helpers.scopedId(path)) return false;
  for (let names = scope.names; names; names = names.outer) {
    if (names.list.includes(path.parts[0])) return true;
  }
  return false;
}

function hasArguments(node) {
  return node.params.length > 0 || Boolean(node.hash);
}

/** Whether Handlebars takes this for a helper: by its arguments, or by its name. */
function isHelperCall(node, scope) {
  const { path } = node;
  if (node.type === 'SubExpression') return true;
  if (isBlockParam(path, scope)) {
    if (hasArguments(node)) throw problemAt(node, `${quote(path)} is a value, it takes no arguments`);
    return false;
  }
  if (hasArguments(node)) return true;
  return path.type === 'PathExpression' && !path.data && Handlebars.AST.helpers.simpleId(path) && path.parts[0] in helpers;
}

function checkHelper(node, asBlock) {
  const { path, params } = node;
  const simple = path.type === 'PathExpression' && !path.data && Handlebars.AST.helpers.simpleId(path);
  const helper = simple ? helpers[path.parts[0]] : undefined;
  const name = path.original;
  if (!helper) throw problemAt(node, `there is no helper ${quote(path)}; there are ${Object.keys(helpers).join(', ')}`);
  if (params.length !== helper.args) {
    const hint = params.length === 0 && !asBlock ? `; for a variable of that name write {{this.${name}}}` : '';
    throw problemAt(node, `${quote(path)} takes ${helper.args} argument(s), here it has ${params.length}${hint}`);
  }
  if (helper.block && !asBlock) throw problemAt(node, `${quote(path)} is a block: {{#${name} …}} … {{/${name}}}`);
  if (asBlock && !helper.block) throw problemAt(node, `${quote(path)} is not a block, write {{${name} …}}`);
  return helper;
}

function quote(path) {
  return JSON.stringify(String(path.original));
}

function deeper(node, scope) {
  if (scope.nesting >= maxNesting) {
    throw problemAt(node, `blocks and expressions can not nest deeper than ${maxNesting} levels`);
  }
  return { ...scope, nesting: scope.nesting + 1 };
}

function addAll(set, more) {
  for (const name of more) set.add(name);
}
