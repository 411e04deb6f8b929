package jobmanager

// ArtefactHolds returns how many hold an artefact, for tests of who lets go.
func (m *JobManager) ArtefactHolds(d [32]byte) int {
	m.service.artefacts.mu.Lock()
	defer m.service.artefacts.mu.Unlock()
	if a := m.service.artefacts.mu.stored[d]; a != nil {
		return a.holds
	}
	return 0
}
