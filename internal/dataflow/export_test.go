package dataflow

// EngineFrame is engineFrame, for the tests.
var EngineFrame = engineFrame
