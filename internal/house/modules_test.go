package house_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden lists of modules")

// goldenModules holds one file per binary: the paths of the third-party
// modules that it links, one a line.
const goldenModules = "testdata/modules"

// TestModules is H10: what a binary links is a decision, so a new module shows
// up as a changed line for a reviewer to agree to.
func TestModules(t *testing.T) {
	linked := map[string][]string{}
	dirs, _ := project(t).packages()
	for _, dir := range dirs {
		binary, ok := strings.CutPrefix(dir, "cmd/")
		if !ok || strings.Contains(binary, "/") {
			continue
		}
		modules, err := linkedModules("./" + dir)
		if err != nil {
			t.Fatal(err)
		}
		linked[binary] = modules
	}
	if *update {
		if err := writeModules(goldenModules, linked); err != nil {
			t.Fatal(err)
		}
	}
	violations, err := checkModules(os.DirFS(goldenModules), linked)
	if err != nil {
		t.Fatal(err)
	}
	report(t, violations)
}

// linkedModules asks the go command which third-party modules a package needs,
// for the platform that the project's binaries are made for.
func linkedModules(pkg string) ([]string, error) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		return nil, goCommandError(cmd, err)
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	modules = slices.Compact(modules)
	return slices.DeleteFunc(modules, func(path string) bool { return path == module }), nil
}

// goCommandError adds the command and what it printed to its error.
func goCommandError(cmd *exec.Cmd, err error) error {
	var printed []byte
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		printed = exit.Stderr
	}
	return fmt.Errorf("%s: %w\n%s", cmd, err, printed)
}

// writeModules makes the golden lists in dir those of the linked modules.
func writeModules(dir string, linked map[string][]string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for binary, modules := range linked {
		list := strings.Join(modules, "\n") + "\n"
		if err := os.WriteFile(filepath.Join(dir, binary+".txt"), []byte(list), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// checkModules compares the golden lists with what each binary links.
func checkModules(golden fs.FS, linked map[string][]string) (violations []string, err error) {
	const rewrite = "; if that is meant, run go test ./internal/house -run TestModules -update"
	listed := map[string]bool{}
	for binary, modules := range linked {
		name := binary + ".txt"
		listed[name] = true
		content, err := fs.ReadFile(golden, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		want := strings.Fields(string(content))
		for _, m := range modules {
			if !slices.Contains(want, m) {
				violations = append(violations, fmt.Sprintf("cmd/%s links %s, which %s/%s does not list%s",
					binary, m, goldenModules, name, rewrite))
			}
		}
		for _, m := range want {
			if !slices.Contains(modules, m) {
				violations = append(violations, fmt.Sprintf("cmd/%s no longer links %s, which %s/%s lists%s",
					binary, m, goldenModules, name, rewrite))
			}
		}
	}
	names, err := fs.Glob(golden, "*")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !listed[name] {
			violations = append(violations, fmt.Sprintf("%s/%s lists the modules of no binary%s", goldenModules, name, rewrite))
		}
	}
	return violations, nil
}

func TestModulesSees(t *testing.T) {
	dir := t.TempDir()
	was := map[string][]string{
		"weir":       {"example.com/a", "example.com/b"},
		"jobmanager": {"example.com/a"},
		"gone":       {},
	}
	if err := writeModules(filepath.Join(dir, "m"), was); err != nil {
		t.Fatal(err)
	}
	golden := os.DirFS(filepath.Join(dir, "m"))

	same, err := checkModules(golden, was)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, same)

	changed, err := checkModules(golden, map[string][]string{
		"weir":       {"example.com/a", "example.com/c"},
		"jobmanager": {"example.com/a"},
		"new":        {"example.com/a"},
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, changed,
		"cmd/new links example.com/a, which testdata/modules/new.txt does not list",
		"cmd/weir links example.com/c, which testdata/modules/weir.txt does not list",
		"cmd/weir no longer links example.com/b, which testdata/modules/weir.txt lists",
		"testdata/modules/gone.txt lists the modules of no binary",
	)
}

func TestLinkedModules(t *testing.T) {
	modules, err := linkedModules("./internal/leaktest")
	if want := []string{"go.uber.org/goleak"}; err != nil || !slices.Equal(modules, want) {
		t.Errorf("internal/leaktest links %q, error %v; want %q", modules, err, want)
	}
	if modules, err := linkedModules("./internal/gone"); err == nil {
		t.Errorf("a package that does not exist links %q", modules)
	}
}
