package config

import (
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"
)

// Logger writes to w as the settings say: text for people at a terminal, JSON
// lines for machines.
func (c *Config) Logger(w *os.File) *slog.Logger {
	var options slog.HandlerOptions
	level := new(slog.LevelVar)
	if level.UnmarshalText([]byte(c.LogLevel)) == nil {
		options.Level = level
	}
	if c.LogFormat == "text" || c.LogFormat == "auto" && isatty.IsTerminal(w.Fd()) {
		return slog.New(slog.NewTextHandler(w, &options))
	}
	return slog.New(slog.NewJSONHandler(w, &options))
}
