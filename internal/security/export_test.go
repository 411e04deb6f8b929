package security

// The checks of ownership, for values that a test's own files cannot have.
var (
	CheckFile      = checkFile
	CheckDirectory = checkDirectory
)
