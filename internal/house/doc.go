// Package house has the tests that keep the rules of the whole project: the
// ones that no compiler and no linter sees, because they speak of more than
// one package at a time. It has no code beside its tests.
//
// # Its room
//
// Nobody imports it. It reads the project's files from the module's root and
// asks the go command for what only that knows; it depends on the package of
// none of them.
//
// # The rules
//
//   - H1: a package imports only what the import law allows (law_test.go).
//   - H2: a package has exactly one package comment, in doc.go when it has
//     more than one file (docs_test.go).
//   - H3: only internal/goroutine has a go statement (goroutines_test.go).
//   - H4: the tests of each package end with a leak check (goroutines_test.go).
//   - H5: functions and files do not outgrow a screen and a sitting
//     (lengths_test.go).
//   - H6: nothing is left as a note to do later (texts_test.go).
//   - H7: proto/gen holds generated files and nothing else, and each generated
//     file carries Go's marker (texts_test.go).
//   - H8: what the documents name in backquotes exists (references_test.go).
//   - H9: the public packages mention only public and standard types
//     (api_test.go).
//   - H10: each binary links the third-party modules that testdata/modules
//     lists, and no others (modules_test.go).
//
// # Testing
//
// Each rule is a function from a tree of files to the violations in it. One
// test applies it to the project, another to a small tree that breaks it, so
// that a rule that has stopped to see is itself a failure. The golden lists of
// H10 are rewritten by
//
//	go test ./internal/house -run TestModules -update
package house
