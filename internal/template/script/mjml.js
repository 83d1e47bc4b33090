// Compiles MJML. It runs in a machine of its own that is thrown away afterwards.

/** Gives JSON: {html, problems}, or {problems} alone; each problem has a message and a line, 0 when it is not known. */
function compileMJML(source) {
  let result;
  try {
    result = mjml2html(source, { validationLevel: 'soft', ignoreIncludes: true });
  } catch (error) {
    // Out of memory, of time and of stack have names of their own, and are not for us.
    if (error instanceof Error && error.name === 'Error') {
      return JSON.stringify({ problems: [{ line: 0, message: error.message }] });
    }
    throw error;
  }
  // A value that is known when the mail is rendered can not be checked before.
  const wrong = result.errors.filter(({ message }) => !message.includes('{{'));
  const problems = wrong.map(({ line, tagName, message }) => ({ line: line || 0, message: tagName ? `<${tagName}>: ${message}` : message }));
  return JSON.stringify({ html: result.html, problems });
}
