package main

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// format is how a verb prints what it has to say. It is a value of a flag.
type format string

const (
	textFormat format = "text"
	jsonFormat format = "json"
)

func (f *format) String() string { return string(*f) }

// Type is what the help calls the value.
func (f *format) Type() string { return "format" }

// Set checks a value that was given on the command line.
func (f *format) Set(text string) error {
	switch format(text) {
	case textFormat, jsonFormat:
		*f = format(text)
		return nil
	}
	return usagef("Unknown output format: %s. It must be text or json.", text)
}

// outputFlag gives a verb the option -o.
func (a *app) outputFlag(command *cobra.Command) {
	command.Flags().VarP(&a.format, "output", "o", "the `format` of what is printed: text or json")
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]cobra.Completion{string(textFormat), string(jsonFormat)}, cobra.ShellCompDirectiveNoFileComp))
}

// formatOf finds the format in a command line that normalise has rewritten, so
// that mistakes elsewhere in it are reported in that format, too.
func formatOf(root *cobra.Command, args []string) format {
	found := textFormat
	if len(args) == 0 {
		return found
	}
	command, _, err := root.Find(args[:1])
	if err != nil || command == root {
		return found
	}
	for _, arg := range args[1:] {
		if arg == "--" || !strings.HasPrefix(arg, "-") && command.Annotations[stopAtJob] != "" {
			break
		}
		switch arg {
		case "--output=json", "-ojson":
			found = jsonFormat
		case "--output=text", "-otext":
			found = textFormat
		}
	}
	return found
}

func (a *app) json() bool { return a.format == jsonFormat }

// printJSON prints the one document of a verb.
func (a *app) printJSON(document any) error { return writeJSON(a.stdout, document, "  ") }

// writeJSON writes a document and the end of a line.
func writeJSON(w io.Writer, document any, indent string) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	return encoder.Encode(document)
}

// What is on standard error with -o json is one of these on each line.
type (
	warningJSON struct {
		Warning string `json:"warning"`
	}
	messageJSON struct {
		Message string `json:"message"`
	}
	errorJSON struct {
		Error failureJSON `json:"error"`
	}
	failureJSON struct {
		Message string `json:"message"`
		// Cause is why the action that Message names has failed.
		Cause    string `json:"cause,omitempty"`
		ExitCode int    `json:"exit-code"`
	}
)

// warning tells the user about something that did not stop the command.
func (a *app) warning(text string) {
	if a.json() {
		_ = writeJSON(a.stderr, warningJSON{text}, "")
		return
	}
	a.warn("Warning: " + text + "\n")
}

// report prints why the command ends with an exit code.
func (a *app) report(err error, code int) {
	var usage *usageError
	isUsage := errors.As(err, &usage)
	switch {
	case a.json():
		_ = writeJSON(a.stderr, errorJSON{describeError(err, code)}, "")
	case isUsage:
		a.print(usage.message + "\n\nUse the help option (-h or --help) to get help on the command.\n")
	case !errors.Is(err, errInterrupted): // Of that, what there was to say was said.
		a.printFailure(err)
	}
}

func describeError(err error, code int) failureJSON {
	if errors.Is(err, errInterrupted) {
		return failureJSON{Message: errInterrupted.Error(), ExitCode: code}
	}
	if failed := new(failure); errors.As(err, &failed) {
		return failureJSON{Message: failed.action, Cause: failed.cause.Error(), ExitCode: code}
	}
	return failureJSON{Message: strings.TrimRight(err.Error(), "\n"), ExitCode: code}
}
