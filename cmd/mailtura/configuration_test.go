package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// setting is a flag as the document has to show it.
type setting struct{ flag, variable, preset string }

var code = regexp.MustCompile("`([^`]*)`")

// documented reads the tables of docs/configuration.md: command → its settings.
func documented(t *testing.T) map[string][]setting {
	t.Helper()
	raw, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	all := map[string][]setting{}
	var commands []string
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if heading, is := strings.CutPrefix(line, "## "); is {
			commands = nil
			for _, m := range code.FindAllStringSubmatch(heading, -1) {
				commands = append(commands, strings.TrimPrefix(m[1], "mailtura "))
			}
		}
		if len(commands) == 0 || !strings.HasPrefix(line, "| `-") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		require.Len(t, cells, 4, line)
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		require.NotEmpty(t, cells[3], "%s has a meaning", cells[0])
		for _, command := range commands {
			all[command] = append(all[command], setting{cells[0], cells[1], cells[2]})
		}
	}
	return all
}

// modelled are the settings of the program.
func modelled(t *testing.T) map[string][]setting {
	t.Helper()
	all := map[string][]setting{}
	for _, leaf := range parser(t, &cli{}).Model.Leaves(false) {
		command := leaf.FullPath()
		command = strings.TrimPrefix(command, "mailtura ")
		for _, flag := range leaf.Flags {
			if flag.Name != "help" {
				all[command] = append(all[command], settingOf(t, flag))
			}
		}
	}
	return all
}

func settingOf(t *testing.T, flag *kong.Flag) setting {
	t.Helper()
	s := setting{flag: "`--" + flag.Name + "`"}
	if flag.Tag.Negatable != "" {
		s.flag = "`--[no-]" + flag.Name + "`"
	}
	if flag.Short != 0 {
		s.flag = "`-" + string(flag.Short) + "`, " + s.flag
	}
	if len(flag.Envs) > 0 {
		require.Len(t, flag.Envs, 1, flag.Name)
		s.variable = "`" + flag.Envs[0] + "`"
	}
	switch {
	case flag.Required:
		s.preset = "required"
	case flag.HasDefault:
		s.preset = "`" + flag.Default + "`"
	case flag.IsBool():
		s.preset = "`false`"
	}
	return s
}

// docs/configuration.md has every flag with its variable and default, and no other.
func TestConfiguration_IsDocumented(t *testing.T) {
	t.Parallel()
	document, program := documented(t), modelled(t)
	require.Len(t, program, 13, "commands with flags")
	for command, settings := range program {
		require.ElementsMatch(t, settings, document[command], command)
	}
	for command := range document {
		require.Contains(t, program, command)
	}
	for _, leaf := range parser(t, &cli{}).Model.Leaves(false) {
		for _, flag := range leaf.Flags {
			require.NotEmpty(t, flag.Help, "%s of %s", flag.Name, leaf.FullPath())
		}
	}
}

// The parameters of a mail server are those that the program takes.
func TestConfiguration_MailServer(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/configuration.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(raw), "## The mail server")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	examples := map[string]string{"security": "none", "helo": "a.example", "maxConns": "2"}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)`").FindAllStringSubmatch(section, -1) {
		value, known := examples[row[1]]
		require.True(t, known, row[1])
		r, err := (&app{settings: settings{SMTPRelay: []string{"smtp://h?" + row[1] + "=" + value}}}).relay()
		require.NoError(t, err, row[1])
		r.Close()
		delete(examples, row[1])
	}
	require.Empty(t, examples)
}
