// Partials, which a template calls by name: {{> footer}}, and layouts, which are called
// with a block: {{#> page}} … {{/page}} prints it where the layout has {{> @partial-block}}.
//
// A library has the sources of the partials there are for one part of a template, and
// keeps what was found out about each: it is parsed and translated once, however often
// it is called, so that partials that call each other twice do not cost twice as much a level.

const maxPartialDepth = 16;

/** sources: text by name. self: the name of the partial in work, or null in a template. */
function newLibrary(sources, self) {
  return { sources, known: { __proto__: null }, infos: { __proto__: null }, calls: self ? [self] : [], inPartial: Boolean(self) };
}

/** The code of every partial that was called, by name. */
function partialCode(library, translate) {
  const code = {};
  for (const name of Object.keys(library.known)) code[name] = translate(library.known[name]);
  return code;
}

/** {{> name context key=value}} or {{#> name …}} … {{/name}}: what it prints in any case. */
function partialCall(node, scope, used) {
  const name = partialName(node);
  if (node.params.length > 1) throw problemAt(node, `a partial takes one context, here are ${node.params.length}`);
  const passed = argumentsOf(node, scope, used);
  const given = node.hash ? node.hash.pairs.map((pair) => pair.key) : [];
  const isRoot = scope.isRoot && node.params.length === 0;
  if (name === theBlock) return printBlock(node, { ...scope, isRoot }, used);
  const info = partialInfo(name, isRoot, node, scope);
  const printed = new Set([...info.required].filter((one) => one !== theBlock && !given.includes(one)));
  addAll(printed, passed);
  for (const one of info.used.keys()) {
    if (!given.includes(one) && !used.has(one)) used.set(one, node);
  }
  if (!node.program) {
    if (info.needsBlock) throw problemAt(node, `${JSON.stringify(name)} prints a block, call it as {{#> ${name}}} … {{/${name}}}`);
    return printed;
  }
  const inside = new Map();
  const block = program(node.program, { ...deeper(node, scope), isRoot: isRoot && !info.movesBlock }, inside);
  for (const [one, at] of inside) {
    if (!given.includes(one) && !used.has(one)) used.set(one, at);
  }
  if (info.required.has(theBlock)) addAll(printed, [...block].filter((one) => !given.includes(one)));
  return printed;
}

function partialName(node) {
  const { name } = node;
  if (name.type === 'SubExpression') throw problemAt(node, 'the name of a partial can not be computed');
  const isBlock = name.type === 'PathExpression' && name.data && name.original === theBlock;
  if (name.type === 'PathExpression' && !isBlock && (name.data || name.depth > 0)) {
    throw problemAt(node, `${quote(name)} is not the name of a partial`);
  }
  return isBlock ? theBlock : String(name.original);
}

/** {{> @partial-block}} in a layout; as {{#> @partial-block}} it has content for calls without a block. */
function printBlock(node, scope, used) {
  const { library } = scope;
  if (!library.inPartial) throw problemAt(node, '{{> @partial-block}} has a meaning in a partial only');
  const { at } = library;
  if (!scope.isRoot) at.movesBlock = true;
  if (node.program) program(node.program, deeper(node, scope), used);
  else at.needsBlock = true;
  return scope.isRoot ? new Set([theBlock]) : new Set();
}

/** What is known of a partial: {required, used} as of analyse, and what it does with a block. */
function partialInfo(name, isRoot, node, scope) {
  const { library } = scope;
  if (library.calls.includes(name)) {
    const circle = [...library.calls.slice(library.calls.indexOf(name)), name].join(' > ');
    throw Object.assign(problemAt(node, `partials can not call each other in a circle: ${circle}`), { whole: true });
  }
  const key = `${isRoot} ${name}`;
  if (library.infos[key]) return library.infos[key];
  if (library.calls.length >= maxPartialDepth) {
    throw problemAt(node, `partials can not call each other deeper than ${maxPartialDepth} levels`);
  }
  const ast = parsePartial(name, library, node);
  const outer = { at: library.at, inPartial: library.inPartial };
  const info = { needsBlock: false, movesBlock: false };
  library.calls.push(name);
  library.at = info;
  library.inPartial = true;
  try {
    library.infos[key] = Object.assign(info, analyse(ast, library, isRoot));
  } catch (error) {
    throw within(name, error, node);
  } finally {
    library.calls.pop();
    Object.assign(library, outer);
  }
  return info;
}

function parsePartial(name, library, node) {
  if (library.known[name]) return library.known[name];
  if (!Object.hasOwn(library.sources, name)) throw problemAt(node, `there is no partial ${JSON.stringify(name)}`);
  const source = library.sources[name];
  if (source === '') throw problemAt(node, `the partial ${JSON.stringify(name)} has nothing for this part`);
  try {
    library.known[name] = hb.parseWithoutProcessing(source);
  } catch (error) {
    throw within(name, error, node);
  }
  return library.known[name];
}

/** A problem inside of a partial, told where the partial is called. */
function within(name, error, node) {
  const problem = problemOf(error);
  if (!problem) return error;
  if (problem.whole) return Object.assign(problemAt(node, problem.message), { whole: true });
  return problemAt(node, `in the partial ${JSON.stringify(name)}, line ${problem.line}, column ${problem.column}: ${problem.message}`);
}
