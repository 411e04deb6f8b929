package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

// proposals returns what __complete proposes to follow a command line, without
// descriptions.
func (c *command) proposals(t *testing.T, args ...string) (proposed []string, directive string) {
	t.Helper()
	c.stdout.Reset()
	if code := c.run(append([]string{"__complete"}, args...)); code != 0 {
		t.Errorf("%q: exit code %d\n%s", args, code, c.stderr)
	}
	lines := strings.Split(strings.TrimSuffix(c.stdout.String(), "\n"), "\n")
	for _, line := range lines[:len(lines)-1] {
		proposal, _, _ := strings.Cut(line, "\t")
		proposed = append(proposed, proposal)
	}
	return proposed, lines[len(lines)-1]
}

func TestProposals(t *testing.T) {
	c := newCommand(t)
	t.Setenv("WEIR_NOTHING", "1") // A warning would be in the shell's way.
	j := (&jobManager{jobs: everyKindOfJob()}).serve(t)
	live := []string{"00000000000000000000000000000002", "00000000000000000000000000000003", jobID, "00000000000000000000000000000004"}
	for _, test := range []struct {
		args, want []string
		directive  string
	}{
		{[]string{""}, []string{"cancel", "checkpoints", "completion", "config", "help", "info", "list", "local", "run", "version"}, ":4"},
		{[]string{"c"}, []string{"cancel", "checkpoints", "completion", "config"}, ":4"},
		{[]string{"cancel", "-m", j.address, ""}, live, ":36"},
		{[]string{"cancel", "-jobmanager", j.address, ""}, live, ":36"}, // Flink's spelling
		{[]string{"cancel", "-m", j.address, jobID, ""}, nil, ":4"},
		{[]string{"list", "--r"}, []string{"--running"}, ":4"},
		{[]string{"list", "-o", ""}, []string{"text", "json"}, ":4"},
		{[]string{"list", ""}, nil, ":4"},
		{[]string{"list", "-m", ""}, nil, ":4"},
		{[]string{"run", ""}, nil, ":0"}, // A file.
		{[]string{"run", "-p", ""}, nil, ":4"},
		{[]string{"run", "./job", "--"}, nil, ":0"},
		{[]string{"run", "-D", "parallelism.default="}, nil, ":4"},
		{[]string{"completion", ""}, []string{"bash", "zsh", "fish"}, ":4"},
		{[]string{"stop", ""}, nil, ":0"},
	} {
		if got, directive := c.proposals(t, test.args...); !slices.Equal(got, test.want) || directive != test.directive {
			t.Errorf("%q: %q, %s, want %q, %s", test.args, got, directive, test.want, test.directive)
		}
	}
	if got, _ := c.proposals(t, "config", ""); !slices.Contains(got, "parallelism.default") {
		t.Errorf("keys: %q", got)
	}
	if got, directive := c.proposals(t, "list", "-D", ""); !slices.Contains(got, "parallelism.default=") || directive != ":6" {
		t.Errorf("settings: %q, %s", got, directive)
	}
	if strings.Contains(c.stderr.String(), "WEIR_NOTHING") {
		t.Errorf("a warning: %s", c.stderr)
	}
}

// A JobManager that says nothing holds nobody up, nor does anything else that is
// wrong.
func TestProposalsWithoutACluster(t *testing.T) {
	c := newCommand(t)
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	gone, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for _, args := range [][]string{
		{"-m", silent.Addr().String()},
		{"-m", gone.Addr().String()},
		{"-m", "nonsense"},
		{"-D", "nonsense"},
		{"--config", "none.yaml"},
		{"-D", "security.credential.file=none"},
	} {
		begin := time.Now()
		if got, directive := c.proposals(t, append(append([]string{"cancel"}, args...), "")...); len(got) > 0 || directive != ":36" {
			t.Errorf("%q: %q, %s", args, got, directive)
		}
		if took := time.Since(begin); took > 20*completionTimeout { // Generous, since machines are busy.
			t.Errorf("%q: took %v", args, took)
		}
	}
}

func TestScripts(t *testing.T) {
	c := newCommand(t)
	for shell, want := range map[string][]string{
		"bash": {"complete -o default -F __start_weir weir", " __complete ", "_get_comp_words_by_ref()"},
		"zsh":  {"#compdef weir\n", "compdef _weir weir", "_weir()", " __complete "},
		"fish": {"complete -c weir ", "function __weir_perform_completion", " __complete "},
	} {
		c.stdout.Reset()
		if code := c.run([]string{"completion", shell}); code != 0 || c.stderr.Len() > 0 {
			t.Errorf("%s: exit code %d\n%s", shell, code, c.stderr)
		}
		script := c.stdout.String()
		for _, part := range want {
			if !strings.Contains(script, part) {
				t.Errorf("%s: %q is missing", shell, part)
			}
		}
		checkSyntax(t, shell, script)
	}
	c.expect(t, 1, "Missing shell. Specify bash, zsh or fish."+pointer, "", "completion")
	c.expect(t, 1, "Unknown shell: tcsh. It must be bash, zsh or fish."+pointer, "", "completion", "tcsh")
	c.expect(t, 1, "Unexpected argument: zsh"+pointer, "", "completion", "bash", "zsh")
}

// checkSyntax has the shell read the script, if it is there. Otherwise the
// blocks of the script have to be closed as often as they are opened.
func checkSyntax(t *testing.T, shell, script string) {
	t.Helper()
	if path, err := exec.LookPath(shell); err == nil {
		command := exec.CommandContext(t.Context(), path, "-n")
		command.Stdin = strings.NewReader(script)
		if out, err := command.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s -n: %v\n%s", shell, err, out)
		}
		return
	}
	blocks := map[string][2]string{
		"bash": {`(?m)^\s*(if|case|for|while)\b`, `(?m)^\s*(fi|esac|done)\b`},
		"zsh":  {`(?m)^\s*(if|case|for|while)\b`, `(?m)^\s*(fi|esac|done)\b`},
		"fish": {`(?m)^\s*(if|function|for|while|switch|begin)\b`, `(?m)^\s*end\b`},
	}[shell]
	opened, closed := regexp.MustCompile(blocks[0]).FindAllString(script, -1), regexp.MustCompile(blocks[1]).FindAllString(script, -1)
	if len(opened) == 0 || len(opened) != len(closed) {
		t.Errorf("%s: %d blocks are opened and %d closed", shell, len(opened), len(closed))
	}
}

// wordsOf splits a command line as bash does before it completes one: at space,
// and around : and =.
func wordsOf(line string) []string {
	words := regexp.MustCompile(`[:=]+|[^\s:=]+`).FindAllString(line, -1)
	if strings.HasSuffix(line, " ") || strings.HasSuffix(line, "=") || strings.HasSuffix(line, ":") {
		words = append(words, "")
	}
	return words
}

// TestCompletionInBash has a bash complete command lines with the script, and
// without the package bash-completion.
func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatalf("the project's scripts need bash: %v", err)
	}
	_ = newCommand(t) // A credential, and no configuration.
	j := (&jobManager{jobs: []*clientv1.JobDescription{runningJob()}}).serve(t)
	dir := t.TempDir()
	if err := os.Symlink(self(t), filepath.Join(dir, "weir")); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"weir ca":                                         "cancel",
		"weir list --ru":                                  "--running",
		"weir list -m " + j.address + " -o j":             "json",
		"weir cancel -m " + j.address + " ":               jobID,
		"weir cancel -m  " + j.address + "  " + jobID[:4]: jobID,
		"weir cancel --jobmanager=" + j.address + " f":    jobID,
		"weir cancel -jobmanager " + j.address + " f":     jobID,
		"weir cancel -m " + j.address + " 0":              "",
		"weir run -D parallelism.def":                     "parallelism.default=",
		"weir run -D parallelism.default=":                "",
		"weir list --output=js":                           "json", // Bash completes what is after the =.
		"weir config pipeline.na":                         "pipeline.name",
		"weir completion f":                               "fish",
		"weir completion ":                                "bash\nfish\nzsh",
	} {
		script := `source <(weir completion bash) || exit 9
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COLUMNS=200
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
__start_weir
printf '%s\n' "${COMPREPLY[@]}" | sort
`
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		command := exec.CommandContext(ctx, bash, append([]string{"--norc", "--noprofile", "-c", script, "bash", line}, wordsOf(line)...)...)
		command.Env = append(os.Environ(), playWeir+"=1", "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"), "LC_ALL=C")
		out, err := command.Output()
		cancel()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q becomes %q (%v), want %q", line, got, err, want)
		}
	}
}
