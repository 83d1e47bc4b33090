package smtpout

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/mailtura/mailtura/internal/mail/outcome"
)

const (
	maxLine     = 2048 // octets of an answer's line; RFC 5321 §4.5.3.1.5 asks for 512
	maxLines    = 128  // of one answer
	writeBuffer = 32 << 10
)

// client speaks SMTP (RFC 5321) over one connection, with the extensions PIPELINING (RFC
// 2920), SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531), STARTTLS (3207) and AUTH (4954).
type client struct {
	conn       net.Conn
	r          *bufio.Reader
	w          *bufio.Writer
	command    time.Duration // for a command and its answer
	extensions map[string]string
	said       dialogue
}

func newClient(conn net.Conn, command time.Duration) *client {
	return &client{
		conn: conn, r: bufio.NewReaderSize(conn, maxLine), w: bufio.NewWriterSize(conn, writeBuffer), command: command,
	}
}

// refusal is an answer that is not the one that a step needs.
type refusal struct{ reply outcome.Reply }

func (e *refusal) Error() string {
	return fmt.Sprintf("%d %s %s", e.reply.Code, e.reply.Enhanced, e.reply.Text)
}

// replyOf is the server's answer within an error; ok is false when there was none.
func replyOf(err error) (r outcome.Reply, ok bool) {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.reply, true
	}
	return outcome.Reply{}, false
}

// deadline gives the next step so much time.
func (c *client) deadline(d time.Duration) error { return c.conn.SetDeadline(time.Now().Add(d)) }

// ask sends a command and reads its answer, which must be of a class (2, 3).
func (c *client) ask(class int, line string) error {
	if err := c.deadline(c.command); err != nil {
		return err
	}
	c.say(line)
	if err := c.w.Flush(); err != nil {
		return err
	}
	_, err := c.answer(class)
	return err
}

// say puts a command into the buffer.
func (c *client) say(line string) {
	c.said.client(line)
	_, _ = c.w.WriteString(line + "\r\n") // an error stays, and Flush gives it
}

// answer reads an answer, which must be of a class.
func (c *client) answer(class int) (outcome.Reply, error) {
	r, err := c.read()
	if err == nil && r.Code/100 != class {
		err = &refusal{r}
	}
	return r, err
}

// read reads an answer.
func (c *client) read() (outcome.Reply, error) {
	code, lines, err := c.lines()
	if err != nil {
		return outcome.Reply{}, err
	}
	return parseReply(code, lines), nil
}

// lines reads the lines of an answer (RFC 5321 §4.2.1).
func (c *client) lines() (code int, lines []string, err error) {
	for range maxLines {
		raw, err := c.r.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, nil, fmt.Errorf("read answer: %w", err)
		}
		line := strings.TrimRight(string(raw), "\r\n")
		c.said.server(line)
		code, text, more, err := splitLine(line)
		if err != nil {
			return 0, nil, err
		}
		if lines = append(lines, text); !more {
			return code, lines, nil
		}
	}
	return 0, nil, errors.New("read answer: it does not end")
}

// splitLine takes the line of an answer apart.
func splitLine(line string) (code int, text string, more bool, err error) {
	if len(line) < 3 || (len(line) > 3 && line[3] != ' ' && line[3] != '-') {
		return 0, "", false, fmt.Errorf("read answer: %.40q is not one of SMTP", line)
	}
	if code, err = strconv.Atoi(line[:3]); err != nil || code < 200 || code > 599 {
		return 0, "", false, fmt.Errorf("read answer: %.40q is not one of SMTP", line)
	}
	if len(line) > 3 {
		text, more = line[4:], line[3] == '-'
	}
	return code, text, more, nil
}

// greet reads the greeting.
func (c *client) greet() error {
	if err := c.deadline(c.command); err != nil {
		return err
	}
	_, err := c.answer(2)
	return err
}

// hello says EHLO, and to a server that does not know it HELO.
func (c *client) hello(name string) error {
	if err := c.deadline(c.command); err != nil {
		return err
	}
	c.say("EHLO " + name)
	if err := c.w.Flush(); err != nil {
		return err
	}
	code, lines, err := c.lines()
	switch {
	case err != nil:
		return err
	case code == 500 || code == 502:
		return c.ask(2, "HELO "+name)
	case code/100 != 2:
		return &refusal{parseReply(code, lines)}
	}
	c.extensions = map[string]string{}
	for _, line := range lines[1:] { // the first is the server's name
		keyword, parameters, _ := strings.Cut(line, " ")
		c.extensions[strings.ToUpper(keyword)] = parameters
	}
	return nil
}

// offers reports whether the server announced an extension.
func (c *client) offers(extension string) bool {
	_, ok := c.extensions[extension]
	return ok
}

// maxSize is the largest message that the server takes; 0 = it does not say.
func (c *client) maxSize() int {
	n, err := strconv.Atoi(c.extensions["SIZE"])
	if err != nil {
		return 0
	}
	return n
}

// login authenticates by PLAIN (RFC 4616), or by LOGIN where the server knows only that.
func (c *client) login(username, password string) error {
	c.said.secret = true
	defer func() { c.said.secret = false }()
	mechanisms := strings.Fields(strings.ToUpper(c.extensions["AUTH"]))
	encode := base64.StdEncoding.EncodeToString
	for _, m := range mechanisms {
		if m == "PLAIN" {
			return c.ask(2, "AUTH PLAIN "+encode([]byte("\x00"+username+"\x00"+password)))
		}
	}
	for _, m := range mechanisms {
		if m == "LOGIN" {
			if err := c.ask(3, "AUTH LOGIN"); err != nil {
				return err
			}
			if err := c.ask(3, encode([]byte(username))); err != nil {
				return err
			}
			return c.ask(2, encode([]byte(password)))
		}
	}
	return errors.New("the mail server offers neither AUTH PLAIN nor AUTH LOGIN")
}

// mail is the command MAIL for a message.
func (c *client) mail(env Envelope, size int) string {
	line := "MAIL FROM:<" + env.From + ">"
	if c.offers("SIZE") {
		line += " SIZE=" + strconv.Itoa(size)
	}
	if env.UTF8 {
		line += " SMTPUTF8"
		if c.offers("8BITMIME") {
			line += " BODY=8BITMIME"
		}
	}
	return line
}

// step is a command of a message's envelope.
type step struct {
	phase outcome.Phase
	line  string
	class int // of the answer
}

// envelope begins a message: MAIL, RCPT and DATA, at once where the server lets it. It says
// in which phase it was refused.
func (c *client) envelope(env Envelope, size int) (outcome.Phase, error) {
	steps := []step{{outcome.Mail, c.mail(env, size), 2}, {outcome.Rcpt, "RCPT TO:<" + env.To + ">", 2}, {outcome.Data, "DATA", 3}}
	if c.offers("PIPELINING") {
		return c.pipeline(steps)
	}
	for _, s := range steps {
		if err := c.ask(s.class, s.line); err != nil {
			return s.phase, err
		}
	}
	return outcome.Data, nil
}

// pipeline sends all steps and then reads all answers (RFC 2920 §3.1).
func (c *client) pipeline(steps []step) (outcome.Phase, error) {
	if err := c.deadline(c.command); err != nil {
		return outcome.Mail, err
	}
	for _, s := range steps {
		c.say(s.line)
	}
	if err := c.w.Flush(); err != nil {
		return outcome.Mail, err
	}
	phase, refused := outcome.Data, error(nil)
	for _, s := range steps {
		_, err := c.answer(s.class)
		_, answered := replyOf(err)
		switch {
		case err == nil && s.phase == outcome.Data && refused != nil: // it wants the message all the same
			return phase, errors.Join(refused, c.abandon())
		case err == nil || refused != nil && answered:
		case refused != nil: // what was refused is refused, whatever becomes of the connection
			return phase, refused
		case !answered:
			return s.phase, err
		default:
			phase, refused = s.phase, err
		}
	}
	return phase, refused
}

// abandon ends a message that has no recipient.
func (c *client) abandon() error {
	if err := c.finish(); err != nil {
		return err
	}
	_, err := c.read()
	return err
}

// write sends a message with the dots doubled that begin a line (RFC 5321 §4.5.2). Without
// the dot that ends it, it is nothing.
func (c *client) write(msg []byte) error {
	if len(msg) > 0 && msg[0] == '.' {
		_ = c.w.WriteByte('.') // an error stays, and the last Write gives it
	}
	ended := bytes.HasSuffix(msg, []byte("\r\n"))
	for {
		dot := bytes.Index(msg, []byte("\n."))
		if dot < 0 {
			break
		}
		_, _ = c.w.Write(msg[:dot+1])
		_ = c.w.WriteByte('.')
		msg = msg[dot+1:]
	}
	_, err := c.w.Write(msg)
	if err == nil && !ended {
		_, err = c.w.WriteString("\r\n")
	}
	return err
}

// finish ends a message: from here on the server may have it.
func (c *client) finish() error {
	c.said.client(".")
	_, _ = c.w.WriteString(".\r\n") // an error stays, and Flush gives it
	return c.w.Flush()
}

// reset ends a transaction, so that the connection can take another.
func (c *client) reset() error {
	return c.ask(2, "RSET")
}

// close says QUIT without waiting for the answer, and closes.
func (c *client) close() error {
	_ = c.deadline(time.Second)
	_, _ = c.w.WriteString("QUIT\r\n")
	_ = c.w.Flush()
	return c.conn.Close()
}
