//go:build !unix || aix || solaris

package file

import "os"

// lock does nothing where there is no flock.
func lock(*os.File, bool) (free bool, err error) { return true, nil }
