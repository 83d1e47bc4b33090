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

/** Parses, checks and translates one part. Gives JSON: {problem} or {code, required, used}. */
function compile(source, noEscape) {
  try {
    const ast = hb.parseWithoutProcessing(source);
    const { required, used } = analyse(ast);
    const code = hb.precompile(ast, { knownHelpersOnly: true, knownHelpers: unknown, noEscape });
    return JSON.stringify({ code, required: [...required], used: [...used] });
  } catch (error) {
    const problem = problemOf(error);
    if (!problem) throw error;
    return JSON.stringify({ problem });
  } finally {
    hb.Parser.lexer.setInput(''); // what one tenant wrote does not stay for the next
  }
}

/** Makes templates of what the code of the parts evaluated to; a part may be null. */
function install(specs) {
  return parts.map((part) => (specs[part] ? hb.template(specs[part]) : null));
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
    const text = templates[i] ? templates[i](variables, access) : '';
    if (text.length > limit) throw new OutputLimit();
    rendered.push(text);
  }
  return rendered;
}

/** The part that the last render was at. */
function at() {
  return working;
}
