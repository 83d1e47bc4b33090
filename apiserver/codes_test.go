package apiserver_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// notOfTheAPI are packages whose codes no answer has: they are for the log, for
// operators' commands, or say why a recipient was refused.
var notOfTheAPI = regexp.MustCompile(`^\.\./internal/(devstack|mail/outcome|plan|smtpout|telemetry|temporalconn|testkit|webhookhttp)(/|$)`)

// codeForms are the ways in which sources give a code. Those of kind Internal are never shown.
var codeForms = []*regexp.Regexp{
	regexp.MustCompile(`fault\.(?:Malformed|Invalid|Unauthenticated|Forbidden|NotFound|Conflict|PreconditionFailed|TooLarge|Exhausted|Unavailable),\s*"(\w+)"`),
	regexp.MustCompile(`Code:\s*"(\w+)"`),
	regexp.MustCompile(`\bc\.(?:wrong|require)\(.*?, "([a-z_]+)",`),
	regexp.MustCompile(`\b(?:noSuch|notFound|newProblem)\(.*?"([a-z]+_[a-z_]+)"`),
	regexp.MustCompile(`http\.Status\w+:\s+"([a-z_]+)"`),                   // frameworkCodes
	regexp.MustCompile(`(?m)^\s*return "([a-z]+_[a-z_]+)"(?:, "[^"]*"|$)`), // fieldCode, CheckLine, CheckHeader
	regexp.MustCompile(`newProblem\(ctx, http\.StatusInternalServerError, "(\w+)"`),
}

// givenCodes are all codes that the sources of the API give, with a file that does.
func givenCodes(t *testing.T) map[string]string {
	t.Helper()
	given := map[string]string{}
	read := func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if notOfTheAPI.MatchString(filepath.ToSlash(path)) {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		for _, form := range codeForms {
			for _, found := range form.FindAllStringSubmatch(string(source), -1) {
				given[found[1]] = path
			}
		}
		return err
	}
	require.NoError(t, filepath.WalkDir("../apiserver", read))
	require.NoError(t, filepath.WalkDir("../internal", read))
	return given
}

var (
	tableRow = regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|")
	codeWord = regexp.MustCompile("`([a-z_]+)`")
)

// Programs rely on codes, and find them in docs/errors.md.
func TestCodes_AreDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/errors.md")
	require.NoError(t, err)
	documented := map[string]bool{}
	for _, row := range tableRow.FindAllStringSubmatch(string(doc), -1) {
		for _, word := range codeWord.FindAllStringSubmatch(row[1], -1) {
			documented[word[1]] = true
		}
	}
	given := givenCodes(t)
	require.Greater(t, len(given), 50, "the forms find what they should")
	for code, path := range given {
		require.True(t, documented[code], "docs/errors.md does not have %s, which %s gives", code, path)
	}
	for code := range documented {
		require.Contains(t, given, code, "docs/errors.md has a code that nothing gives")
	}
}
