package template

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// The JavaScript side: our own in script/, and what web/build.mjs places in js/ and
// what is not in version control. The pattern is one for both, so that the package
// builds without the latter; an Engine does not start then.
//
//go:embed */*.js*
var scripts embed.FS

const handlebarsFile = "js/handlebars.min.js"

// Our own scripts, in the order in which they are joined into one function.
var ownScripts = []string{"script/problem.js", "script/analyse.js", "script/partials.js", "script/engine.js", "script/harden.js"}

var errNoHandlebars = errors.New(handlebarsFile + " is not part of this build: run `npm ci` and `node build.mjs` in web/, then build again")

// script joins Handlebars and our own code into one script. Its value is an object
// of the functions that Go calls. Our code is the body of a function, so that not
// even its names are in reach of what runs later.
func script(files fs.FS) (string, error) {
	handlebars, err := fs.ReadFile(files, handlebarsFile)
	if err != nil {
		return "", errNoHandlebars
	}
	var js strings.Builder
	js.Write(handlebars)
	js.WriteString("\n;(function (Handlebars) {\n'use strict';\n")
	for _, name := range ownScripts {
		own, err := fs.ReadFile(files, name)
		if err != nil {
			return "", fmt.Errorf("read script: %w", err)
		}
		js.Write(own)
	}
	js.WriteString("\nreturn { compile, install, render, at };\n})(Handlebars)")
	return js.String(), nil
}
