package dataflow

// Build runs a job's build function, a func(*weir.Env), as weir.Main does, and
// returns the graph. Package weir sets it when it is initialised; the test kit,
// which cannot see inside that package, calls it.
var Build func(name string, build any, arguments []string) *Graph
