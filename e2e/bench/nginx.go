package main

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/reelflow/reelflow/internal/stack"
)

// nginxConf serves /files/ from a folder, and /store/ as a proxy of the primary store,
// with what nginx itself recommends for large files. Nothing is logged and nothing kept.
const nginxConf = `daemon off;
%s
worker_processes auto;
pid %[2]s/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000;
	client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
	upstream store { server %[3]s; keepalive 64; keepalive_requests 1000000; }
	server {
		listen %[4]s;
		location /files/ { alias %[5]s/; }
		location /store/ {
			proxy_pass http://store/;
			proxy_http_version 1.1;
			proxy_set_header Host %[3]s;
			proxy_set_header Connection "";
		}
	}
}
`

// nginx is the other server, in front of files and of the primary store.
type nginx struct {
	cmd  *exec.Cmd
	said bytes.Buffer
	url  string
}

func (b *bench) startNginx(files string) (*nginx, error) {
	program, err := findNginx()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, user := filepath.Join(b.dir, "nginx"), ""
	if os.Getuid() == 0 {
		user = "user root;" // else its workers could not read our folder
	}
	conf := fmt.Sprintf(nginxConf, user, dir, strings.TrimPrefix(b.places[0].endpoint, "http://"), address, files)
	at := filepath.Join(dir, "nginx.conf")
	if err := cmp.Or(os.MkdirAll(dir, 0o700), os.WriteFile(at, []byte(conf), 0o600)); err != nil {
		return nil, err
	}
	n := &nginx{cmd: exec.CommandContext(b.ctx, program, "-p", dir, "-c", at), url: "http://" + address}
	n.cmd.Stdout, n.cmd.Stderr = &n.said, &n.said
	n.cmd.SysProcAttr = endWithThis()
	n.cmd.Cancel = func() error { return n.cmd.Process.Signal(syscall.SIGTERM) }
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	if err := b.until("nginx listens", 20*time.Second, func() (bool, error) { return stack.InUse(address), nil }); err != nil {
		n.stop()
		return nil, fmt.Errorf("%w: %s", err, &n.said)
	}
	return n, nil
}

// findNginx looks where distributions put it, too.
func findNginx() (string, error) {
	if program, err := exec.LookPath("nginx"); err == nil {
		return program, nil
	}
	program, err := exec.LookPath("/usr/sbin/nginx")
	if err != nil {
		err = fmt.Errorf("the peer nginx is not installed (setup/install.sh bench does it): %w", err)
	}
	return program, err
}

// at returns addresses of what it serves.
func (n *nginx) at(paths []string) (urls []string) {
	for _, path := range paths {
		urls = append(urls, n.url+path)
	}
	return urls
}

func (n *nginx) pid() int { return n.cmd.Process.Pid }

func (n *nginx) stop() {
	err := n.cmd.Process.Signal(syscall.SIGTERM)
	if err == nil || errors.Is(err, os.ErrProcessDone) {
		_ = n.cmd.Wait() // it was told to end
	}
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
