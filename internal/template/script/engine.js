// The three calls that Go makes. Nothing here keeps anything between two calls
// but the name of the part in work, which is asked for after a call was cut off.

const hb = Handlebars.create();
hb.unregisterHelper('log');
hb.unregisterDecorator('inline');
Object.freeze(hb.helpers);
Object.freeze(hb.partials);
Object.freeze(hb.decorators);

// Said rather than left to the defaults, which log each name that is refused.
const access = Object.freeze({ allowProtoPropertiesByDefault: false, allowProtoMethodsByDefault: false });

// Names that Handlebars would call as helpers although no template may.
const unknown = { log: false, helperMissing: false, blockHelperMissing: false };

const parts = ['subject', 'html', 'text'];
let working = '';

hb.Parser.parseError = (message, hash) => refuseToken(hb.Parser, hash);

/**
 * Parses, checks and translates one part, and the partials that it calls. partials is JSON:
 * sources by name; self is the name of the partial whose part this is, or ''. Gives JSON:
 * {problem} or {code, required, used, partials}, where partials is code by name.
 */
function compile(source, noEscape, partials, self) {
  const translate = (ast) => hb.precompile(ast, { knownHelpersOnly: true, knownHelpers: unknown, noEscape });
  try {
    const ast = hb.parseWithoutProcessing(source);
    const library = newLibrary(JSON.parse(partials), self);
    if (self) library.at = {}; // of a layout, what is told to its callers
    const { required, used } = analyse(ast, library, true);
    required.delete(theBlock);
    return JSON.stringify({
      code: translate(ast), required: [...required], used: [...used].map(place), partials: partialCode(library, translate),
    });
  } catch (error) {
    const problem = problemOf(error);
    if (!problem) throw error;
    return JSON.stringify({ problem });
  } finally {
    hb.Parser.lexer.setInput(''); // what one tenant wrote does not stay for the next
  }
}

function place([name, node]) {
  return { name, line: node.loc.start.line, column: node.loc.start.column + 1 };
}

/** Makes templates of what the code of the parts evaluated to; a part may be null. */
function install(specs) {
  return parts.map((part) => (specs[part] ? { run: hb.template(specs[part]), options: optionsFor(specs.partials[part]) } : null));
}

function optionsFor(specs) {
  const names = Object.keys(specs);
  if (names.length === 0) return access;
  const partials = {};
  for (const name of names) partials[name] = hb.template(specs[name]);
  return { ...access, partials };
}

/** Told apart from every other error by its name. */
class OutputLimit extends Error {
  get name() {
    return 'OutputLimit';
  }
}

/** Renders all parts over one reading of the variables. limit is in UTF-16 units. */
function render(templates, json, limit) {
  working = 'variables';
  const variables = JSON.parse(json);
  const rendered = [];
  for (let i = 0; i < parts.length; i++) {
    working = parts[i];
    const text = templates[i] ? templates[i].run(variables, templates[i].options) : '';
    if (text.length > limit) throw new OutputLimit();
    rendered.push(text);
  }
  return rendered;
}

/** The part that the last render was at. */
function at() {
  return working;
}
