package house_test

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
)

// What a Markdown document refers to.
var (
	codeSpan   = regexp.MustCompile("`([^`]+)`")
	relative   = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`) // [text](path#heading), but no URL
	makeTarget = regexp.MustCompile(`^make ([a-z][a-z-]*)`)
	targetLine = regexp.MustCompile(`^([a-z][a-z -]*):`)
	pathLike   = regexp.MustCompile(`^[A-Za-z0-9_.*-]+(/[A-Za-z0-9_.*-]+)+/?$`)
	symbolLike = regexp.MustCompile(`^([a-z][a-z0-9]*)\.([A-Z]\w*)(?:\.([A-Z]\w*))?(\[.*\])?(\(.*\))?$`)
)

// references resolves what documents name.
type references struct {
	tree     *tree
	tops     map[string]bool // the first elements of paths that can be the project's
	packages map[string]bool // the names of its packages
	symbols  map[string]bool // "pkg.Name", and "pkg.Type.Name" for methods and fields
	targets  map[string]bool // make's
}

// checkReferences is H8, over the Markdown files at the root and under docs.
//
// A code span is taken for a path when its first element is a directory of the
// project, in the tree or in the import law; for a symbol when it is a
// package of the project, a point and an exported name; for a make target when
// it begins with "make". Everything else is taken as prose.
func checkReferences(t *tree) (violations []string, err error) {
	refs, err := collectReferences(t)
	if err != nil {
		return nil, err
	}
	for _, name := range t.texts {
		if path.Ext(name) != ".md" || path.Dir(name) != "." && !strings.HasPrefix(name, "docs/") {
			continue
		}
		found, err := refs.checkDocument(name)
		if err != nil {
			return nil, err
		}
		violations = append(violations, found...)
	}
	return violations, nil
}

func (r *references) checkDocument(name string) (violations []string, err error) {
	content, err := fs.ReadFile(r.tree.fsys, name)
	if err != nil {
		return nil, err
	}
	fenced := false
	lines := bufio.NewScanner(strings.NewReader(string(content)))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		violation := func(format string, args ...any) {
			violations = append(violations, fmt.Sprintf("%s:%d: %s", name, n, fmt.Sprintf(format, args...)))
		}
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if fenced {
			if m := makeTarget.FindStringSubmatch(strings.TrimSpace(line)); m != nil && !r.targets[m[1]] {
				violation("make has no target %q", m[1])
			}
			continue
		}
		for _, span := range codeSpan.FindAllStringSubmatch(line, -1) {
			if problem := r.problemWith(span[1]); problem != "" {
				violation("`%s`: %s", span[1], problem)
			}
		}
		for _, link := range relative.FindAllStringSubmatch(line, -1) {
			if !r.exists(path.Join(path.Dir(name), link[1])) {
				violation("the link to %s leads nowhere", link[1])
			}
		}
	}
	return violations, lines.Err()
}

// problemWith says what is wrong with a code span, "" when nothing is.
func (r *references) problemWith(span string) string {
	if m := makeTarget.FindStringSubmatch(span); m != nil && !r.targets[m[1]] {
		return fmt.Sprintf("make has no target %q", m[1])
	}
	if m := symbolLike.FindStringSubmatch(span); m != nil && r.packages[m[1]] {
		symbol := m[1] + "." + m[2]
		if m[3] != "" {
			symbol += "." + m[3]
		}
		if !r.symbols[symbol] {
			return "no such symbol"
		}
	}
	if top, _, _ := strings.Cut(span, "/"); pathLike.MatchString(span) && r.tops[top] && !r.exists(span) {
		return "no such file or directory"
	}
	return ""
}

// exists tells whether the path, which may hold wildcards, is in the tree.
func (r *references) exists(name string) bool {
	matches, err := fs.Glob(r.tree.fsys, strings.TrimSuffix(name, "/"))
	return err == nil && len(matches) > 0
}

func collectReferences(t *tree) (*references, error) {
	r := &references{
		tree:     t,
		tops:     map[string]bool{},
		packages: map[string]bool{},
		symbols:  map[string]bool{},
		targets:  map[string]bool{},
	}
	for _, room := range importLaw {
		top, _, _ := strings.Cut(room.dir, "/")
		r.tops[top] = true
	}
	entries, err := fs.ReadDir(t.fsys, ".")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if name := entry.Name(); entry.IsDir() && name != "bin" {
			r.tops[name] = true
		}
	}
	for _, f := range t.files {
		if name := f.syntax.Name.Name; !f.test && name != "main" {
			r.packages[name] = true
			for _, decl := range f.syntax.Decls {
				r.addSymbols(name, decl)
			}
		}
	}
	return r, r.collectTargets()
}

func (r *references) collectTargets() error {
	makefile, err := fs.ReadFile(r.tree.fsys, "Makefile")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for line := range strings.Lines(string(makefile)) {
		if m := targetLine.FindStringSubmatch(line); m != nil {
			for target := range strings.FieldsSeq(m[1]) {
				r.targets[target] = true
			}
		}
	}
	return err
}

func (r *references) addSymbols(pkg string, decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		r.symbols[pkg+"."+functionName(decl)] = true
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					r.symbols[pkg+"."+name.Name] = true
				}
			case *ast.TypeSpec:
				r.symbols[pkg+"."+spec.Name.Name] = true
				for _, name := range memberNames(spec.Type) {
					r.symbols[pkg+"."+spec.Name.Name+"."+name] = true
				}
			}
		}
	}
}

// memberNames returns the names of a struct's fields or an interface's methods.
func memberNames(expr ast.Expr) (names []string) {
	var members *ast.FieldList
	switch expr := expr.(type) {
	case *ast.StructType:
		members = expr.Fields
	case *ast.InterfaceType:
		members = expr.Methods
	default:
		return nil
	}
	for _, member := range members.List {
		for _, name := range member.Names {
			names = append(names, name.Name)
		}
	}
	return names
}

func TestReferences(t *testing.T) {
	violations, err := checkReferences(project(t))
	if err != nil {
		t.Fatal(err)
	}
	report(t, violations)
}

func TestReferencesSees(t *testing.T) {
	violations, err := checkReferences(fixture(t, map[string]string{
		"Makefile":   "test: x\n\ttrue\nverify-a fix-a:\n",
		"task/t.go":  "package task\ntype Host[T any] struct{ Slots int }\nfunc (h *Host[T]) Step() {}\ntype I interface{ Run() }\nconst Max = 1",
		"data/x.csv": "",
		"README.md": strings.Join([]string{
			"Run `make test`, `make fix-a` or `make tests`; make do.", // 1
			"```", "make tests", "make test BENCH=x", "`task/gone`", "```", // 2-6
			"See [there](docs/a.md#part), [here](docs/b.md) and [x](https://x.example/b.md).", // 7
		}, "\n"),
		"docs/a.md": strings.Join([]string{
			"`task/t.go`, `task/`, `task/*.go`, `task/u.go`, `task/*.proto`",                    // 1
			"`scheduler/core`, `data/y.csv`, `bin/weir`, `google.golang.org/grpc`, `GET /jobs`", // 2
			"`task.Host`, `task.Hosts`, `task.Host.Step`, `task.Host.Stop`, `task.I.Run()`",     // 3
			"`task.Max`, `task.cancellation.timeout`, `slog.Logger`, `task.Host[int]`",          // 4
			"[up](../README.md), [gone](../LICENSE)",                                            // 5
		}, "\n"),
		"task/NOTES.md": "`task/gone.go`",
	}))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, violations,
		"README.md:1: `make tests`: make has no target",
		"README.md:3: make has no target",
		"README.md:7: the link to docs/b.md leads nowhere",
		"docs/a.md:1: `task/*.proto`: no such file",
		"docs/a.md:1: `task/u.go`: no such file",
		"docs/a.md:2: `data/y.csv`: no such file",
		"docs/a.md:2: `scheduler/core`: no such file",
		"docs/a.md:3: `task.Host.Stop`: no such symbol",
		"docs/a.md:3: `task.Hosts`: no such symbol",
		"docs/a.md:5: the link to ../LICENSE leads nowhere",
	)
}
