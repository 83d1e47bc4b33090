// Takes away what no template needs. A template has no way to these things
// unless Handlebars has a hole; then it finds a room without tools: nothing that
// makes code from text, and nothing that could be changed for the next render.

const { ownKeys } = Reflect; // with symbols; Reflect itself goes

/** Makes lists print through code that the time limit can stop; the built-in join can not be stopped. */
function printListsByHand() {
  Object.defineProperty(Array.prototype, 'toString', {
    value: function toString() {
      let text = '';
      for (let i = 0; i < this.length; i++) {
        if (i > 0) text += ',';
        if (this[i] !== null && this[i] !== undefined) text += this[i];
      }
      return text;
    },
  });
}

/** Handlebars' exceptions set these two, which their prototype inherits and which freezing makes read-only. */
function keepExceptionsWritable() {
  for (const name of ['message', 'name']) {
    Object.defineProperty(Handlebars.Exception.prototype, name, { value: '', writable: true });
  }
}

function removeCodeMakers() {
  const functions = [function () {}, function* () {}, async function () {}, async function* () {}];
  for (const f of functions) delete Object.getPrototypeOf(f).constructor;
  for (const name of ['__proto__', '__defineGetter__', '__defineSetter__', '__lookupGetter__', '__lookupSetter__']) {
    delete Object.prototype[name];
  }
  for (const name of ['Handlebars', 'Function', 'eval', 'Proxy', 'Reflect', 'Atomics', 'SharedArrayBuffer']) {
    delete globalThis[name];
  }
  // Handlebars asks of a partial whether it is an instance of Function, and no more.
  globalThis.Function = Object.freeze({ __proto__: null, [Symbol.hasInstance]: (value) => typeof value === 'function' });
}

/** Prototypes that no property of the global object leads to. */
function hiddenIntrinsics() {
  const made = [
    [].values(),
    new Map().values(),
    new Set().values(),
    ''[Symbol.iterator](),
    ''.matchAll(/x/g),
    (function* () {})(),
    (async function* () {})(),
    async function () {},
  ];
  return made.map(Object.getPrototypeOf);
}

/** Freezes every object that can be reached from the global one, and the hidden ones. */
function freezeIntrinsics() {
  const seen = new Set();
  const waiting = [globalThis, ...hiddenIntrinsics()];
  const visit = (found) => {
    const isObject = (typeof found === 'object' && found !== null) || typeof found === 'function';
    if (!isObject || seen.has(found)) return;
    seen.add(found);
    // A method leads nowhere (it has a length and a name), and most objects are methods.
    if (typeof found === 'function' && !Object.hasOwn(found, 'prototype')) Object.freeze(found);
    else waiting.push(found);
  };
  while (waiting.length > 0) {
    const object = waiting.pop();
    Object.freeze(object);
    visit(Object.getPrototypeOf(object));
    for (const key of ownKeys(object)) {
      const property = Object.getOwnPropertyDescriptor(object, key);
      visit(property.value);
      visit(property.get);
      visit(property.set);
    }
  }
}

printListsByHand();
keepExceptionsWritable();
removeCodeMakers();
freezeIntrinsics();
