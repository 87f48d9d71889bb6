'use strict';
(() => {
  const PAGE_SIZE = 200;
  const MOST_KEPT = 10000;
  const KINDS = {
    slow: 'The SMS goes out, the answer comes late.',
    hang: 'The SMS goes out, the answer never comes.',
    reset_before: 'The connection is reset and no SMS goes out.',
    reset_after_send: 'The SMS goes out, then the connection is reset without an answer.',
    http_500: '500 Internal server error, no SMS.',
    http_502_html: '502 with the front proxy\u2019s HTML page, no SMS.',
    throttled: '429 with Retry-After: 10, no SMS.',
    number_cooling: '400 RATE_LIMIT_EXCEEDED: the number had its three sends in five minutes.',
    insufficient_balance: '400 INSUFFICIENT_BALANCE: the wallet is empty.',
    unauthorized: '401 Invalid API key, as after a revoked key.',
    suspended: '401 Account is suspended.',
    address_not_allowed: '401 Authentication required, as for an address that is not on the key\u2019s list.',
    kyc_pending: '403 KYC approval pending.',
    validation_error: '400 VALIDATION_ERROR, as for a number that breaks a rule.',
    invalid_input: '400 INVALID_INPUT, as for a body that is not JSON.',
    send_failed: '400 OTP_SEND_FAILED, no SMS.',
    send_failed_after_send: '400 OTP_SEND_FAILED, although the SMS went out.',
    garbage: 'The SMS goes out, the answer is 2xx with bytes that do not parse.',
    verify_404: 'POST /otp/verify does not exist (vendor mode).',
  };
  const $ = (id) => document.getElementById(id);
  const list = $('list'), search = $('search'), title = document.title;

  let messages = [];            // newest first
  const rows = new Map();       // id -> list item, made when first shown
  let shown = PAGE_SIZE;
  let loading = false, waiting = [], unread = 0;

  // Everything that came over the wire is put in as text, never as markup.
  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function prettyPhone(phone) {
    const india = /^(\+91)(\d{5})(\d{5})$/.exec(phone);
    return india ? `${india[1]} ${india[2]} ${india[3]}` : phone;
  }

  function ago(iso) {
    const seconds = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
    if (seconds < 5) return 'just now';
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
    return new Date(iso).toLocaleString();
  }

  // The text goes to the clipboard; older or insecure contexts have only execCommand.
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = make('textarea', { class: 'unseen', readonly: '', 'aria-hidden': 'true', tabindex: '-1' });
      const focused = document.activeElement;
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand('copy');
      area.remove();
      focused?.focus();
      return done;
    }
  }

  async function copyFrom(button, text, what) {
    const label = button.dataset.label ??= button.textContent;
    const done = await copy(text);
    button.textContent = done ? 'Copied' : 'Press Ctrl+C';
    button.classList.toggle('done', done);
    announce(done ? `${what} copied` : `${what} could not be copied`);
    clearTimeout(button.timer);
    button.timer = setTimeout(() => {
      button.textContent = label;
      button.classList.remove('done');
    }, 1600);
  }

  function announce(text) { $('announce').textContent = text; }

  function rowOf(message) {
    let row = rows.get(message.id);
    if (row) return row;
    const button = make('button', {
      class: 'copy small', type: 'button', 'data-testid': 'copy', 'aria-label': `Copy code ${message.code}`,
    }, 'Copy');
    button.addEventListener('click', () => copyFrom(button, message.code, 'Code'));
    row = make('li', {
      class: 'sms', 'data-testid': 'message', 'data-id': message.id,
      'data-phone': message.phone_number, 'data-status': message.status,
    },
    make('div', { class: 'sms-head' },
      make('span', { class: 'phone', 'data-testid': 'phone' }, prettyPhone(message.phone_number)),
      make('span', { class: 'pill', 'data-testid': 'status', 'data-status': message.status }, message.status),
      make('time', {
        class: 'when', 'data-testid': 'time', datetime: message.created_at,
        title: new Date(message.created_at).toLocaleString(),
      }, ago(message.created_at))),
    make('div', { class: 'sms-body' },
      make('span', { class: 'code', 'data-testid': 'code' }, message.code),
      button,
      make('p', { class: 'text', 'data-testid': 'text' }, message.text)));
    if (message.idempotency_key !== null) {
      row.append(make('p', { class: 'key', 'data-testid': 'key' }, `idempotency key ${message.idempotency_key}`));
    }
    rows.set(message.id, row);
    return row;
  }

  function matches(message) {
    const wanted = search.value.trim();
    if (wanted === '') return true;
    const digits = wanted.replace(/\D/g, '');
    return digits !== '' && message.phone_number.includes(digits);
  }

  // What is around the list: counts, buttons, the two empty states.
  function frame() {
    const found = messages.filter(matches).length;
    $('total').textContent = messages.length;
    $('total-unit').textContent = messages.length === 1 ? 'message' : 'messages';
    $('clear').disabled = messages.length === 0;
    $('empty').hidden = messages.length > 0 || loading;
    $('no-match').hidden = messages.length === 0 || found > 0;
    $('more').hidden = found <= shown;
  }

  function renderAll() {
    list.replaceChildren(...messages.filter(matches).slice(0, shown).map(rowOf));
    frame();
  }

  function arrive(message) {
    if (messages.some((known) => known.id === message.id)) return;
    messages.unshift(message);
    for (const old of messages.splice(MOST_KEPT)) rows.delete(old.id);
    if (matches(message)) {
      const row = rowOf(message);
      row.classList.add('fresh');
      row.addEventListener('animationend', () => row.classList.remove('fresh'), { once: true });
      list.prepend(row);   // one by one, so that the focus in another row stays where it is
      while (list.childElementCount > shown) list.lastElementChild.remove();
    }
    frame();
    announce(`New message to ${prettyPhone(message.phone_number)}, code ${[...message.code].join(' ')}`);
    if (document.hidden) document.title = `(${++unread}) ${title}`;
  }

  function settle({ id, status }) {
    const message = messages.find((known) => known.id === id);
    if (!message) return;
    message.status = status;
    const row = rows.get(id);
    if (!row) return;
    row.dataset.status = status;
    const pill = row.querySelector('.pill');
    pill.dataset.status = status;
    pill.textContent = status;
  }

  function empty() {
    messages = [];
    rows.clear();
    shown = PAGE_SIZE;
    renderAll();
  }

  function showFaults(faults) {
    const disarm = (kind) => {
      const button = make('button', {
        class: 'small', type: 'button', 'data-testid': 'disarm', 'aria-label': `Disarm ${kind}`,
      }, 'Disarm');
      button.addEventListener('click', () =>
        act('DELETE', `/sandbox/faults?kind=${encodeURIComponent(kind)}`));
      return button;
    };
    $('armed').replaceChildren(...faults.map((fault) => {
      const parts = [fault.times === null ? 'until disarmed' : `${fault.times} more`];
      if (fault.probability < 1) parts.push(`${+(fault.probability * 100).toFixed(2)} %`);
      if (fault.kind === 'slow') parts.push(`${fault.delay_ms} ms`);
      parts.push(`struck ${fault.fired}`);
      return make('li', { 'data-testid': 'armed-fault', 'data-kind': fault.kind },
        make('div', {}, make('code', {}, fault.kind), make('span', {}, parts.join(' · '))),
        disarm(fault.kind));
    }));
    const none = faults.length === 0;
    $('armed').hidden = $('disarm-all').hidden = $('armed-count').hidden = none;
    $('armed-count').textContent = `${faults.length} armed`;
  }

  function complain(text) {
    $('fault-error').textContent = text;
    $('fault-error').hidden = text === '';
  }

  // Changes come back to every open page as events; here only failures are told.
  async function act(method, path, body) {
    try {
      const response = await fetch(path, { method, body: body && JSON.stringify(body) });
      const answer = response.ok ? null : await response.json();
      complain(answer ? answer.error : '');
      return response.ok;
    } catch {
      complain('The sandbox does not answer.');
      return false;
    }
  }

  async function get(path) {
    const response = await fetch(path);
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.json();
  }

  let infoTimer;
  function refreshInfo() {
    clearTimeout(infoTimer);
    infoTimer = setTimeout(async () => {
      try {
        const info = await get('/sandbox/info');
        $('mode').textContent = info.mode;
        $('balance').textContent = `\u20b9${info.balance_inr}`;
      } catch { /* the next event or reconnection tries again */ }
    }, 100);
  }

  // After each (re)connection the whole list is fetched; events that come meanwhile wait.
  async function reload() {
    if (loading) return;
    loading = true;
    try {
      const [all, faults] = await Promise.all([get('/sandbox/messages'), get('/sandbox/faults')]);
      messages = all;
      rows.clear();
      loading = false;
      renderAll();
      showFaults(faults);
      state('live', 'Live');
    } catch {
      loading = false;
      state('connecting', 'Reconnecting');
    }
    const missed = waiting;
    waiting = [];
    for (const event of missed) event();
    refreshInfo();
  }

  function state(name, text) {
    const link = $('connection');
    if (link.dataset.state === name && link.textContent === text) return;
    link.dataset.state = name;
    link.textContent = text;
  }

  function connect(pause) {
    const source = new EventSource('/sandbox/events');
    const on = (name, handle) => source.addEventListener(name, (event) => {
      const data = JSON.parse(event.data);
      if (loading) waiting.push(() => handle(data)); else handle(data);
    });
    source.addEventListener('ready', () => { pause = 1000; reload(); });
    on('message', (message) => { arrive(message); refreshInfo(); });
    on('status', (change) => { settle(change); refreshInfo(); });
    on('cleared', empty);
    on('faults', showFaults);
    source.addEventListener('error', () => {
      state('connecting', 'Reconnecting');
      if (source.readyState !== EventSource.CLOSED) return;   // the browser retries by itself
      setTimeout(() => connect(Math.min(pause * 2, 10000)), pause);
    });
  }

  for (const kind of Object.keys(KINDS)) $('kind').append(make('option', { value: kind }, kind));
  function describeKind() {
    $('hint').textContent = KINDS[$('kind').value];
    $('delay-cell').hidden = $('kind').value !== 'slow';
  }
  $('kind').addEventListener('change', describeKind);
  describeKind();

  $('fault-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const fault = { kind: $('kind').value, probability: Number($('chance').value) / 100 };
    if ($('times').value !== '') fault.times = Number($('times').value);
    if (fault.kind === 'slow') fault.delay_ms = Number($('delay').value);
    act('PUT', '/sandbox/faults', fault);
  });
  $('disarm-all').addEventListener('click', () => act('DELETE', '/sandbox/faults'));
  $('clear').addEventListener('click', async () => {
    if (await act('DELETE', '/sandbox/messages')) { search.focus(); announce('Inbox emptied'); }
  });
  $('more').addEventListener('click', () => { shown += PAGE_SIZE; renderAll(); });
  $('copy-curl').addEventListener('click', () => copyFrom($('copy-curl'), $('curl').textContent, 'Command'));
  search.addEventListener('input', () => { shown = PAGE_SIZE; renderAll(); });
  document.addEventListener('keydown', (event) => {
    const typing = event.target.closest?.('input, select, textarea');
    if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    } else if (event.key === 'Escape' && event.target === search) {
      search.value = '';
      renderAll();
    }
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) { unread = 0; document.title = title; }
  });
  setInterval(() => {
    for (const time of list.querySelectorAll('time')) time.textContent = ago(time.dateTime);
  }, 1000);

  search.value = new URLSearchParams(location.search).get('phone') ?? '';
  $('faults').open = matchMedia('(min-width: 900px)').matches;
  connect(1000);
})();
