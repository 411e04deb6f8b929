package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ModuleRoot returns the directory of the module that the working directory is in.
func ModuleRoot(ctx context.Context) (string, error) {
	out, err := goCommand(ctx, ".", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	file := strings.TrimSpace(out)
	if file == "" || file == os.DevNull {
		return "", fmt.Errorf("the working directory is in no module: run the benchmarks from the project")
	}
	return filepath.Dir(file), nil
}

// Build builds programs of the module at root into a directory, static as they
// are installed. Packages are named as for go build, from the root: "./cmd/weir".
func Build(ctx context.Context, root, directory string, packages ...string) error {
	args := append([]string{"build", "-trimpath", "-o", directory + string(filepath.Separator)}, packages...)
	_, err := goCommand(ctx, root, args...)
	return err
}

func goCommand(ctx context.Context, directory string, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir, command.Stdout, command.Stderr = directory, &stdout, &stderr
	// go.mod names the toolchain; some environments forbid the go command to fetch it.
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOTOOLCHAIN=auto")
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
