package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/config"
)

// ConfDir is the environment variable that names the directory of the
// configuration file, as FLINK_CONF_DIR does for Flink.
const ConfDir = "WEIR_CONF_DIR"

const configFileName = "weir.yaml"

// ConfigFile returns the path of the configuration file: the one that is named
// on the command line, or else weir.yaml in the directory that [ConfDir] names,
// or else weir.yaml in the current directory if it is there, or else nothing,
// which means defaults. It returns an error if ConfDir is set and has no such
// file.
func ConfigFile(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	dir, path := os.Getenv(ConfDir), configFileName
	if dir != "" {
		path = filepath.Join(dir, configFileName)
	}
	_, err := os.Stat(path)
	switch {
	case err == nil:
		return path, nil
	case dir != "":
		return "", fmt.Errorf("the configuration of $%s: %w", ConfDir, err)
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	}
	return "", err
}

// otherVariables are variables that begin as those that override keys do and
// are something else: ConfDir, and what whoever builds Weir sets for its tests.
var otherVariables = []string{ConfDir, "WEIR_TEST_DATA", "WEIR_REQUIRE_RACE"}

// Inputs are what a command reads its configuration from: a file (empty for
// none), this process's environment, and overrides of the command line.
func Inputs(file string, overrides []string) config.Inputs {
	environment := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(otherVariables, name)
	})
	return config.Inputs{File: file, Environment: environment, Overrides: overrides}
}
