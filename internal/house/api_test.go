package house_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// isPublic tells whether a user of the project may import the package: the
// root and the connectors.
func isPublic(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/connector/")
}

// isOffered tells whether a public package may mention a type of the package:
// those that users can import without tying themselves to one of our
// dependencies.
func isOffered(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return isPublic(importPath) || !strings.Contains(first, ".") // the standard library
}

// TestPublicAPI is H9. It reads the compiler's export data, so a type that is
// only inferred counts as well as one that is written down.
func TestPublicAPI(t *testing.T) {
	var public []string
	dirs, packages := project(t).packages()
	for _, dir := range dirs {
		hasSource := slices.ContainsFunc(packages[dir], func(f *goFile) bool { return !f.test })
		if importPath := strings.TrimSuffix(module+"/"+strings.TrimPrefix(dir, "."), "/"); hasSource && isPublic(importPath) {
			public = append(public, importPath)
		}
	}
	if len(public) == 0 {
		return // nothing is public yet, so nothing can be mentioned
	}
	fset := token.NewFileSet()
	imp, err := exportDataImporter(fset, public)
	if err != nil {
		t.Fatal(err)
	}
	for _, importPath := range public {
		pkg, err := imp.Import(importPath)
		if err != nil {
			t.Fatal(err)
		}
		report(t, checkAPI(fset, pkg, isOffered))
	}
}

// exportDataImporter compiles the packages (as a rule they are in the build
// cache already) and returns an importer of them and what they import.
func exportDataImporter(fset *token.FileSet, importPaths []string) (types.Importer, error) {
	args := []string{"list", "-export", "-deps", "-json=ImportPath,Export"}
	if raceDetector() {
		args = append(args, "-race") // the packages that make test has compiled
	}
	cmd := exec.Command("go", append(args, importPaths...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, goCommandError(cmd, err)
	}
	exports := map[string]string{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath, Export string }
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
				return os.Open(exports[path])
			}), nil
		case err != nil:
			return nil, err
		}
		exports[p.ImportPath] = p.Export
	}
}

// raceDetector tells whether this test was built with the race detector.
func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// checkAPI lists the exported declarations of pkg that mention a type of a
// package that is not offered. Through a type of pkg itself that is not
// exported, but is handed out, it looks at what a user reaches.
func checkAPI(fset *token.FileSet, pkg *types.Package, offered func(importPath string) bool) []string {
	c := &apiChecker{fset: fset, pkg: pkg, offered: offered, seen: map[*types.TypeName]bool{}}
	for _, name := range pkg.Scope().Names() {
		obj := pkg.Scope().Lookup(name)
		if !obj.Exported() {
			continue
		}
		c.use(name, obj)
	}
	return c.violations
}

type apiChecker struct {
	fset       *token.FileSet
	pkg        *types.Package
	offered    func(importPath string) bool
	seen       map[*types.TypeName]bool
	violations []string
}

// use checks a declaration; what names it for the reader of a violation.
func (c *apiChecker) use(what string, obj types.Object) {
	if name, ok := obj.(*types.TypeName); ok {
		c.useTypeName(what, name)
		return
	}
	c.mentions(what, obj.Pos(), obj.Type())
}

// useTypeName checks what a user reaches through a type of the package.
func (c *apiChecker) useTypeName(what string, name *types.TypeName) {
	if c.seen[name] {
		return
	}
	c.seen[name] = true
	if alias, ok := name.Type().(*types.Alias); ok {
		c.typeParams(what, name.Pos(), alias.TypeParams())
		c.mentions(what, name.Pos(), alias.Rhs())
		return
	}
	named, ok := name.Type().(*types.Named)
	if !ok {
		return
	}
	c.typeParams(what, name.Pos(), named.TypeParams())
	c.mentions(what, name.Pos(), named.Underlying())
	for method := range named.Methods() {
		if method.Exported() {
			c.mentions(what+"."+method.Name(), method.Pos(), method.Signature())
		}
	}
}

func (c *apiChecker) typeParams(what string, pos token.Pos, params *types.TypeParamList) {
	for param := range params.TypeParams() {
		c.mentions(what, pos, param.Constraint())
	}
}

// mentions reports each type in typ that is not offered.
func (c *apiChecker) mentions(what string, pos token.Pos, typ types.Type) {
	again := func(t types.Type) { c.mentions(what, pos, t) }
	switch typ := typ.(type) {
	case *types.Named:
		c.mentionsName(what, pos, typ.Obj())
		for arg := range typ.TypeArgs().Types() {
			again(arg)
		}
	case *types.Alias:
		c.mentionsName(what, pos, typ.Obj())
		for arg := range typ.TypeArgs().Types() {
			again(arg)
		}
	case *types.Signature:
		c.typeParams(what, pos, typ.TypeParams())
		again(typ.Params())
		again(typ.Results())
	case *types.Tuple:
		for v := range typ.Variables() {
			again(v.Type())
		}
	case *types.Struct:
		for field := range typ.Fields() {
			if field.Exported() || field.Embedded() {
				c.mentions(what+"."+field.Name(), field.Pos(), field.Type())
			}
		}
	case *types.Interface:
		for method := range typ.ExplicitMethods() {
			if method.Exported() {
				c.mentions(what+"."+method.Name(), method.Pos(), method.Type())
			}
		}
		for embedded := range typ.EmbeddedTypes() {
			again(embedded)
		}
	case *types.Union:
		for term := range typ.Terms() {
			again(term.Type())
		}
	case *types.Map:
		again(typ.Key())
		again(typ.Elem())
	case interface{ Elem() types.Type }: // pointer, slice, array, channel
		again(typ.Elem())
	}
}

func (c *apiChecker) mentionsName(what string, pos token.Pos, name *types.TypeName) {
	switch {
	case name.Pkg() == nil: // error, any, comparable
	case name.Pkg() == c.pkg:
		if !name.Exported() {
			c.useTypeName(name.Name(), name)
		}
	case !c.offered(name.Pkg().Path()):
		c.violations = append(c.violations, fmt.Sprintf("%s: %s.%s mentions %s.%s, which a user cannot import",
			c.fset.Position(pos), c.pkg.Name(), what, name.Pkg().Path(), name.Name()))
	}
}

// hidden stands in for an internal package.
const hidden = `package hidden
type T struct{}
func (T) Method() {}
type I interface{ Method() }
func New() T { return T{} }
type G[X any] struct{}
`

const api = `package api

import (
	"hidden"
	"io"
)

type Alias = hidden.T
type Fine struct {
	R io.Reader
	h hidden.T
	Next *Fine
}
func (Fine) Do(func(io.Writer) error) error { return nil }
func (Fine) do(hidden.T) {}
func (*Fine) Bad(x map[string][]hidden.T) {}
type Field struct{ T chan *hidden.T }
type Embedded struct{ hidden.T }
type inner struct{ X hidden.T; y hidden.I }
func (inner) Leak() hidden.I { return nil }
func HandsOut() *inner { return nil }
func unexported(hidden.T) {}
var Inferred = hidden.New()
var inferred = hidden.New()
const Max = 3
type Sealed interface{ apply(hidden.T) }
type Open interface{ Apply(hidden.T) }
type Extends interface{ hidden.I }
func Constrained[T hidden.I](T) {}
type Stream[T any] struct{ n *hidden.T }
func (s Stream[T]) Map[U any](f func(T) U) Stream[U] { return Stream[U]{} }
func (s Stream[T]) To[U hidden.I](u U) {}
type Generic = Stream[hidden.T]
func Args(...Stream[hidden.G[int]]) {}
`

func TestPublicAPISees(t *testing.T) {
	fset := token.NewFileSet()
	std := importer.ForCompiler(fset, "source", nil)
	compile := func(name, src string, imp types.Importer) *types.Package {
		t.Helper()
		file, err := parser.ParseFile(fset, name+".go", src, 0)
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := (&types.Config{Importer: imp}).Check(name, fset, []*ast.File{file}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return pkg
	}
	hiddenPackage := compile("hidden", hidden, std)
	apiPackage := compile("api", api, importerFunc(func(path string) (*types.Package, error) {
		if path == "hidden" {
			return hiddenPackage, nil
		}
		return std.Import(path)
	}))

	var got []string
	for _, v := range checkAPI(fset, apiPackage, func(path string) bool { return path != "hidden" }) {
		got = append(got, v[strings.Index(v, ": ")+2:])
	}
	expect(t, got,
		"api.Alias mentions hidden.T",
		"api.Args mentions hidden.G",
		"api.Constrained mentions hidden.I",
		"api.Embedded.T mentions hidden.T",
		"api.Extends mentions hidden.I",
		"api.Field.T mentions hidden.T",
		"api.Fine.Bad mentions hidden.T",
		"api.Generic mentions hidden.T",
		"api.Inferred mentions hidden.T",
		"api.Open.Apply mentions hidden.T",
		"api.Stream.To mentions hidden.I",
		"api.inner.Leak mentions hidden.I",
		"api.inner.X mentions hidden.T",
	)
}

func TestIsOffered(t *testing.T) {
	for importPath, want := range map[string]bool{
		"io":                            true,
		"log/slog":                      true,
		module:                          true,
		module + "/connector/file":      true,
		module + "/internal/ids":        false,
		module + "/proto/gen/weir/x/v1": false,
		module + "/task":                false,
		module + "x/connector/file":     false,
		"google.golang.org/grpc":        false,
	} {
		if got := isOffered(importPath); got != want {
			t.Errorf("isOffered(%q) = %t, want %t", importPath, got, want)
		}
	}
}

type importerFunc func(path string) (*types.Package, error)

func (f importerFunc) Import(path string) (*types.Package, error) { return f(path) }
