package objects

// HoldInMemory sets how many entries a purge holds in memory.
func (s *S3) HoldInMemory(entries int) { s.keeps = entries }
