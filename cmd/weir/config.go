package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	s := &settings{}
	command := &cobra.Command{
		Use:   "config [OPTIONS] [KEY]",
		Short: "Print the configuration, with where each value comes from",
		Long: "Config prints the configuration that this command, and a daemon that is started here with the\n" +
			"same options, would use: every key with its value and with where that comes from, which is the\n" +
			"default, a line of the file, an environment variable or -D. With a key it prints all about it.\n\n" +
			"What a job's code sets is above all of these, and known only once the job runs.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("Unexpected argument: %s", args[1])
			}
			return nil
		},
		ValidArgsFunction:     completeKeys,
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.configKey(s, args[0])
			}
			return a.config(s)
		},
	}
	s.registerConfiguration(command)
	a.outputFlag(command)
	return command
}

// config prints all keys.
func (a *app) config(s *settings) error {
	c, err := s.load(a)
	if err != nil {
		return err
	}
	described := config.Keys()
	list := make([]entryJSON, 0, len(described))
	var table strings.Builder
	columns := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(columns, "KEY\tVALUE\tSOURCE")
	for i, e := range c.Entries() { // In the order of Keys.
		list = append(list, entryToJSON(e, described[i]))
		_, _ = fmt.Fprintf(columns, "%s\t%s\t%s\n", e.Key, shownValue(e, described[i]), place(e.Source))
	}
	if a.json() {
		return a.printJSON(map[string]any{"configuration": list})
	}
	_ = columns.Flush() // A strings.Builder takes everything.
	a.print(table.String())
	return nil
}

// configKey prints all about one key.
func (a *app) configKey(s *settings, name string) error {
	key, err := config.Find(name)
	if err != nil {
		text := err.Error()
		return usagef("%s", strings.ToUpper(text[:1])+text[1:])
	}
	c, err := s.load(a)
	if err != nil {
		return err
	}
	if name != key.Name {
		a.warning(fmt.Sprintf("%q is a deprecated name of %q", name, key.Name))
	}
	for _, e := range c.Entries() {
		if e.Key != key.Name {
			continue
		}
		if a.json() {
			return a.printJSON(entryToJSON(e, key))
		}
		a.print(describeKey(e, key))
	}
	return nil
}

func describeKey(e config.Entry, key config.Key) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", e.Key, shownValue(e, key))
	line := func(name, text string) { fmt.Fprintf(&b, "  %-12s%s\n", name, text) }
	line("source", place(e.Source))
	line("default", key.Default)
	line("allowed", key.Allowed)
	line("meaning", key.Doc)
	line("read by", key.Scope.String())
	line("variable", config.Variable(key.Name))
	if len(key.Deprecated) > 0 {
		line("older name", strings.Join(key.Deprecated, ", "))
	}
	return b.String()
}

// shownValue is the value or, for a key without one, in parentheses what
// happens then.
func shownValue(e config.Entry, key config.Key) string {
	if !e.IsSet {
		return key.Default
	}
	return oneLine(e.Shown())
}

// oneLine keeps a value from being taken for several lines or columns.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// place is where a value comes from, a line of a file in the form that editors
// open.
func place(s config.Source) string {
	if s.Kind == config.FromFile {
		return fmt.Sprintf("%s:%d", s.Name, s.Line)
	}
	return s.String()
}

type (
	entryJSON struct {
		Key string `json:"key"`
		// Value is null for a key that is not set and has no default.
		Value  *string    `json:"value"`
		Source sourceJSON `json:"source"`
		// Default is the default, or in parentheses what happens without a value.
		Default  string   `json:"default"`
		Allowed  string   `json:"allowed"`
		Meaning  string   `json:"meaning"`
		ReadBy   []string `json:"read-by"`
		Variable string   `json:"variable"`
	}
	sourceJSON struct {
		// Kind is "default", "file", "environment" or "option".
		Kind     string `json:"kind"`
		File     string `json:"file,omitempty"`
		Line     int    `json:"line,omitempty"`
		Variable string `json:"variable,omitempty"`
	}
)

func entryToJSON(e config.Entry, key config.Key) entryJSON {
	j := entryJSON{
		Key: e.Key, Source: sourceJSON{Kind: e.Source.Kind.String()}, Default: key.Default, Allowed: key.Allowed, Meaning: key.Doc,
		ReadBy: strings.Split(key.Scope.String(), ", "), Variable: config.Variable(key.Name),
	}
	if e.IsSet || e.Value != "" {
		value := e.Shown()
		j.Value = &value
	}
	if e.Source.Kind == config.FromFile {
		j.Source.File, j.Source.Line = e.Source.Name, e.Source.Line
	}
	if e.Source.Kind == config.FromEnvironment {
		j.Source.Variable = e.Source.Name
	}
	return j
}
