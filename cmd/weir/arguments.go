package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// stopAtJob marks the verbs whose options end at the first argument that is
// none: what follows it belongs to the job.
const stopAtJob = "stop-at-job"

// aliases are Flink's short names that have more than one letter.
var aliases = map[string]string{"sae": "shutdownOnAttachedExit"}

// normalise rewrites a command line in Flink's spelling into one that pflag
// reads: -detached becomes --detached, --p becomes -p, -sae gets its long name.
// It returns an error for a verb that does not exist.
func normalise(root *cobra.Command, args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	command := root
	var out []string
	if !strings.HasPrefix(args[0], "-") {
		found, _, err := root.Find(args[:1])
		if err != nil || found == root {
			if args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd {
				return normaliseRequest(root, args), nil
			}
			return nil, invalidAction(root, args[0])
		}
		command, out, args = found, args[:1:1], args[1:]
	}
	command.InitDefaultHelpFlag()
	for len(args) > 0 {
		arg := args[0]
		positional := arg == "-" || !strings.HasPrefix(arg, "-")
		if arg == "--" || positional && command.Annotations[stopAtJob] != "" {
			break
		}
		args = args[1:]
		name, value, assigned := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		flag := lookup(command.Flags(), name)
		if positional || flag == nil {
			out = append(out, arg)
			continue
		}
		long := "--" + flag.Name
		switch {
		case assigned:
			out = append(out, long+"="+value)
		case flag.NoOptDefVal == "" && len(args) > 0: // The next argument is its value.
			out = append(out, long+"="+args[0])
			args = args[1:]
		default:
			out = append(out, long)
		}
	}
	return append(out, args...), nil
}

// normaliseRequest rewrites what the shell sends to ask what could follow a
// command line: that line, whose last argument is not complete.
func normaliseRequest(root *cobra.Command, args []string) []string {
	last := len(args) - 1
	if last < 2 {
		return args
	}
	line, err := normalise(root, args[1:last:last])
	if err != nil {
		return args // There is no such verb, and nothing to propose.
	}
	return append(append(args[:1:1], line...), args[last])
}

func lookup(flags *pflag.FlagSet, name string) *pflag.Flag {
	if long, ok := aliases[name]; ok {
		name = long
	}
	if len(name) == 1 {
		return flags.ShorthandLookup(name)
	}
	return flags.Lookup(name)
}

// flagError says what is wrong with an option in flink's words.
func flagError(_ *cobra.Command, err error) error {
	var usage *usageError
	var unknown *pflag.NotExistError
	var incomplete *pflag.ValueRequiredError
	switch {
	case errors.As(err, &usage): // The value says itself what is wrong with it.
		return usage
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if letters := unknown.GetSpecifiedShortnames(); strings.HasPrefix(letters, name) {
			return usagef("Unrecognized option: -%s", letters)
		}
		return usagef("Unrecognized option: --%s", name)
	case errors.As(err, &incomplete):
		return usagef("Missing argument for option: %s", incomplete.GetSpecifiedName())
	}
	return usagef("%s", err)
}
