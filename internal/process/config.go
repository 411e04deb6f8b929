package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
