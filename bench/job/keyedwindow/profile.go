package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
)

// profile is the CPU profile of this process, if one is asked for. Subtasks use
// it at the same time.
type profile struct {
	directory string

	mu    sync.Mutex
	sinks int      // that are open
	file  *os.File // nil while there is no profile
}

func newProfile(directory string) *profile { return &profile{directory: directory} }

// start starts the profile when the first split is opened, in a file that is
// named by it.
func (p *profile) start(split string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.directory == "" || p.file != nil {
		return nil
	}
	file, err := os.Create(filepath.Join(p.directory, "worker-"+split+".pprof"))
	if err != nil {
		return fmt.Errorf("CPU profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return errors.Join(fmt.Errorf("CPU profile: %w", err), file.Close())
	}
	p.file = file
	return nil
}

// open is called by each sink.
func (p *profile) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sinks++
}

// close is called by each sink at its end; the last one ends the profile.
func (p *profile) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sinks--
	if p.sinks > 0 || p.file == nil {
		return nil
	}
	pprof.StopCPUProfile()
	err := p.file.Close()
	p.file = nil
	return err
}
