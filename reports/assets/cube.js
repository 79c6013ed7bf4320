// Sums over rpt_sales and the charts that two pages share. All sums are of whole numbers as stored, so
// they are exact.
(function () {
  "use strict";
  var R = RETOUR;
  var MEASURES = ["lines", "comparable_lines", "returned_lines", "effective_exposure", "expected_returns",
    "open_returns", "net_amount", "refund_amount", "expected_cost"];

  // daily sums by age in days of everything that the filters let through
  R.cube = function (data) {
    var table = data.sales;
    var keys = { m: table.raw("marketplace_key"), s: table.raw("seller_key"), c: table.raw("category_key") };
    var ages = table.raw("age_days");
    var wanted = {};
    Object.keys(keys).forEach(function (filter) {
      var member = R.chosen(filter);
      if (member) wanted[filter] = member.key;
    });
    var filters = Object.keys(wanted);
    var days = 0;
    for (var i = 0; i < ages.length; i++) if (ages[i] >= days) days = ages[i] + 1;
    var sums = {};
    MEASURES.forEach(function (measure) { sums[measure] = new Float64Array(days); });
    var columns = MEASURES.map(table.raw, table);
    rows: for (i = 0; i < ages.length; i++) {
      for (var f = 0; f < filters.length; f++) {
        if (keys[filters[f]][i] !== wanted[filters[f]]) continue rows;
      }
      for (var j = 0; j < MEASURES.length; j++) sums[MEASURES[j]][ages[i]] += columns[j][i] || 0;
    }
    // the projected rate of return_rates, for any days: what came, and of the rest the ratio of what came to
    // what was expected, weighed with the history that rpt_rates holds for the selection
    var history = R.rate(data) || { history_ratio: 1, history_returns: 0 };
    function projected(sum) {
      var expected = sum.expected_returns + history.history_returns;
      var ratio = expected > 0
        ? (sum.returned_lines + history.history_ratio * history.history_returns) / expected : 0;
      return Math.min(1, (sum.returned_lines + ratio * sum.open_returns) / sum.comparable_lines);
    }
    // of the days from one age up to below another
    function total(from, to) {
      var result = {};
      MEASURES.forEach(function (measure) {
        var sum = 0;
        for (var age = from; age < Math.min(to, days); age++) sum += sums[measure][age];
        result[measure] = sum / table.unit(measure);
      });
      result.rate = result.comparable_lines > 0 ? projected(result) : null;
      result.maturity = result.comparable_lines > 0
        ? result.effective_exposure / result.comparable_lines : null;
      return result;
    }
    return { days: days, total: total, hasScores: columns[MEASURES.indexOf("expected_cost")].some(function (v) { return v !== null; }) };
  };

  // the row of rpt_rates for what is chosen; changes replace keys, for example {c: 3}
  R.rate = function (data, changes) {
    if (!data.rates.byKey) {
      var t = data.rates;
      t.byKey = {};
      t.list().forEach(function (row) {
        t.byKey[[row.window_days, row.marketplace_key, row.seller_key, row.category_key].join()] = row;
      });
    }
    function key(filter) {
      if (changes && known(changes[filter])) return changes[filter];
      var member = R.chosen(filter);
      return member ? member.key : 0;
    }
    return data.rates.byKey[[R.window(), key("m"), key("s"), key("c")].join()];
  };
  function known(value) { return value !== undefined && value !== null; }

  R.selection = function () {
    var parts = ["m", "s", "c"].map(function (filter) {
      var member = R.chosen(filter);
      return member ? R.cut(member.label, 40) : null;
    }).filter(Boolean);
    return parts.length ? parts.join(", ") : "everything";
  };

  R.salesFigures = function (content, data, cube) {
    var w = R.window();
    var now = cube.total(0, w), before = cube.total(w, 2 * w);
    var currency = R.currency(data);
    var versus = "vs prior " + w + " d";
    var rate = R.rate(data);
    var small = R.isSmall(now.effective_exposure);
    // the same as of the sums, to the digits that SQL gives
    if (rate) { now.rate = rate.projected_rate; before.rate = rate.prior_projected_rate; }
    function relative(key, better) {
      var change = before[key] ? now[key] / before[key] - 1 : null;
      return R.delta(change, R.num(100 * Math.abs(change), 1) + " %", better,
        change === null ? "nothing to compare with" : versus);
    }
    var sure = rate && rate.rate_change_lo !== null
      ? rate.rate_change_lo > 0 || rate.rate_change_hi < 0 : undefined;
    R.figures(content, [
      { label: "Order lines", metric: "order_lines", value: R.int(now.lines), key: "lines", raw: now.lines,
        delta: relative("lines", "up") },
      { label: "Sold", metric: "gross_revenue", value: R.shortMoney(now.net_amount, currency),
        key: "net_amount", raw: now.net_amount, delta: relative("net_amount", "up") },
      { label: "Return rate, projected", metric: "projected_return_rate", small: small,
        help: "Of the lines sold in the last " + w + " days, adjusted for returns still to come.",
        value: now.rate === null ? "–" : R.pct(now.rate), key: "rate", raw: now.rate,
        delta: now.rate !== null && before.rate !== null
          ? R.delta(now.rate - before.rate, R.num(100 * Math.abs(now.rate - before.rate), 1) + " points",
            "down", versus + (sure === false ? ", within chance" : ""), sure) : null,
        note: now.rate === null ? now.lines ? R.why("return_rates") : "No lines in this selection." : (small ? "few: n = " + R.num(now.effective_exposure, 0) + ", " : "")
          + (rate && rate.projected_lo !== null ? R.limit("interval_confidence_percent") + " % interval "
            + R.pct(rate.projected_lo) + " to " + R.pct(rate.projected_hi) : "") },
      { label: "Returned so far", value: R.plural(now.returned_lines, "line").replace(" ", "\u00a0"), key: "returned_lines",
        raw: now.returned_lines, help: "Lines sold in the window of which something has come back.",
        note: now.maturity === null ? null : R.pct(now.returned_lines / now.comparable_lines) + " of the lines; "
          + R.pct(now.maturity, 0) + " of the returns have come" },
      { label: "Refunded so far", metric: "refund_amount_by_sale_date", key: "refund_amount",
        value: R.shortMoney(now.refund_amount, currency), raw: now.refund_amount,
        note: now.net_amount > 0 ? R.pct(now.refund_amount / now.net_amount) + " of what was sold" : null },
      cube.hasScores ? { label: "Expected cost of returns", metric: "return_cost", key: "expected_cost",
        help: "Expected of these lines by their scores.",
        value: R.shortMoney(now.expected_cost, currency), raw: now.expected_cost,
        delta: relative("expected_cost", "down") } : null,
    ].filter(Boolean));
    return { now: now, before: before };
  };

  R.currency = function (data) {
    var rows = (data.costs || data.seller_risk || { list: function () { return []; } }).list();
    return rows.length ? rows[0].currency : "";
  };

  // some days up to each day: what came back of what had the time to
  R.dailyRate = function (content, data, cube, span) {
    var w = R.window();
    var asOf = R.source.as_of_date;
    var limit = R.limit("report_immature_percent") / 100;
    // seven days level the week; where they hold too few lines, four weeks
    var usual = cube.total(0, 2 * w).effective_exposure / (2 * w);
    var roll = R.isSmall(7 * usual) ? 28 : 7;
    var rows = [];
    for (var age = w - 1; age >= 0; age--) {
      var now = cube.total(age, age + roll), before = cube.total(age + w, age + w + roll);
      rows.push({ day: R.dayBefore(asOf, age), lines: now.lines, returned_lines: now.returned_lines,
        exposure: now.effective_exposure, maturity: now.maturity,
        rate: now.rate, before: R.isSmall(before.effective_exposure) ? null : before.rate,
        isSmall: R.isSmall(now.effective_exposure), isYoung: now.maturity !== null && now.maturity < limit });
    }
    var drawn = rows.filter(function (row) { return row.rate !== null && !row.isSmall; });
    var few = rows.filter(function (row) { return row.rate !== null && row.isSmall; });
    var young = rows.filter(function (row) { return row.isYoung; });
    var anything = drawn.length || few.length;
    var last = drawn[drawn.length - 1];
    var days = roll === 7 ? "seven days" : "four weeks";
    R.card(content, {
      title: "Return rate by day of sale", metric: "projected_return_rate", span: span, height: 300,
      sub: "projected; " + days + " up to each", sql: ["sales", "rates"],
      empty: anything ? null : cube.total(0, w).lines ? R.why("return_rates") : "No lines in this selection.",
      summary: anything ? "Return rate by day of sale for " + R.selection() + ". "
        + (last ? "Latest reading with enough lines: " + R.pct(last.rate) + " on " + R.day(last.day) + "."
          : "Too few lines on every day.") : null,
      note: [few.length ? "Grey points: fewer than " + R.limit("report_small_lines") + " lines. " : "",
        young.length ? "Hatched: less than " + R.limit("report_immature_percent")
          + " % of the returns have come." : ""].join(""),
      table: { rows: rows, columns: [
        { key: "day", label: days.charAt(0).toUpperCase() + days.slice(1) + " up to" },
        { key: "lines", label: "Lines", number: true, format: R.int },
        { key: "returned_lines", label: "Returned", number: true, format: R.int },
        { key: "exposure", label: "Effective exposure", number: true, format: function (v) { return R.num(v, 1); } },
        { key: "maturity", label: "Returns that have come", number: true, format: R.pct },
        { key: "rate", label: "Projected rate", number: true, format: R.pct },
        { key: "before", label: "Window before", number: true, format: R.pct }] },
      chart: function (element) {
        var values = drawn.concat(few.length > drawn.length ? few : [])
          .map(function (row) { return 100 * row.rate; })
          .concat(rows.map(function (row) { return R.percent(row.before); })
            .filter(function (v) { return v !== null; }));
        var top = Math.min(101, Math.max(5, 1.15 * Math.max.apply(null, values.length ? values : [10])));
        function days(rows) { return rows.map(function (row) { return row.day; }); }
        R.plot(element, function () {
          var traces = [];
          if (young.length) {
            traces.push({ type: "scatter", mode: "lines", x: days(young),
              y: young.map(function () { return top; }), fill: "tozeroy", line: { width: 0 },
              fillpattern: R.hatch(R.colour("line")), fillcolor: R.colour("line"), hoverinfo: "skip",
              name: "returns still to come", legendrank: 4 });
          }
          traces.push({ type: "scatter", mode: "lines", x: days(rows),
            y: rows.map(function (r) { return R.percent(r.before); }), name: "window before",
            line: { color: R.colour("muted"), width: 1.3, dash: "dot" }, connectgaps: false, legendrank: 2,
            hovertemplate: "%{y:.1f} % in the window before<extra></extra>" });
          if (few.length) {
            traces.push({ type: "scatter", mode: "markers", x: days(few),
              y: few.map(function (r) { return 100 * r.rate; }), name: "few lines",
              marker: { color: R.colour("quiet"), size: 4 }, legendrank: 3,
              customdata: few.map(function (r) { return R.num(r.exposure, 0); }),
              hovertemplate: "%{y:.1f} %, n = %{customdata}<extra></extra>" });
          }
          traces.push({ type: "scatter", mode: "lines", x: days(rows),
            y: rows.map(function (r) { return r.isSmall ? null : R.percent(r.rate); }), name: "this window",
            line: { color: R.colour("accent"), width: 2.4 }, legendrank: 1,
            hovertemplate: "<b>%{y:.1f} %</b><extra></extra>" });
          return traces;
        }, { hovermode: "x unified", showlegend: true,
          xaxis: { type: "date", hoverformat: "%-d %B %Y", nticks: 8, showgrid: false,
            tickformat: "%-d %b" },
          yaxis: { ticksuffix: " %", range: [0, top], nticks: 6 } });
      },
    });
  };

  // months of one entity with the interval of the final rate
  R.monthlyRate = function (content, rows, options, nothing) {
    var has = rows.some(function (row) { return row.projected_rate !== null; });
    var hasInterval = rows.some(function (row) { return row.projected_lo !== null; });
    var shown = rows.slice(-18);
    R.card(content, Object.assign({
      title: "Return rate by month of sale", metric: "projected_return_rate", span: 6, height: 290,
      sub: "so far; hatched: still to come (projected)", sql: ["months"],
      empty: has ? null : nothing || R.why("return_rates"),
      summary: has ? "Return rate by month; newest: " + R.pct(shown[shown.length - 1].projected_rate)
        + " in the end, " + R.pct(shown[shown.length - 1].observed_rate) + " so far." : null,
      table: { rows: rows, columns: [
        { key: "month", label: "Month", format: R.month },
        { key: "lines", label: "Lines", number: true, format: R.int },
        { key: "returned_lines", label: "Returned so far", number: true, format: R.int },
        { key: "observed_rate", label: "So far", number: true, format: R.pct },
        { key: "maturity", label: "Returns that have come", number: true, format: R.pct },
        { key: "projected_rate", label: "Projected", number: true, format: R.pct },
        { key: "projected_lo", label: "from", number: true, format: R.pct },
        { key: "projected_hi", label: "to", number: true, format: R.pct }] },
      chart: function (element) {
        var months = shown.map(function (row) { return row.month; });
        R.plot(element, function () {
          return [
            { type: "bar", x: months, y: shown.map(function (r) { return R.percent(r.observed_rate); }),
              name: "so far", marker: { color: shown.map(function (r) {
                return R.colour(R.isSmall(r.lines) ? "quiet" : "accent"); }) },
              customdata: shown.map(function (r) { return [R.month(r.month), R.int(r.lines)]; }),
              hovertemplate: "%{customdata[0]}: %{y:.1f} % so far, n = %{customdata[1]}<extra></extra>" },
            { type: "bar", x: months, name: "still to come",
              y: shown.map(function (r) { return 100 * Math.max(0, r.projected_rate - r.observed_rate); }),
              marker: { color: R.colour("card"), line: { color: R.colour("accent"), width: shown.map(
                function (r) { return r.projected_rate - r.observed_rate > 0.002 ? 1 : 0; }) },
              pattern: R.hatch(R.colour("accent")) },
              error_y: hasInterval ? R.interval(shown, "projected_rate", "projected_lo", "projected_hi", 100) : null,
              customdata: shown.map(function (r) {
                return [R.month(r.month), R.pct(r.projected_rate), hasInterval ? R.pct(r.projected_lo) + " to " + R.pct(r.projected_hi)
                  : R.plural(r.lines, "line")]; }),
              hovertemplate: "%{customdata[0]}: %{customdata[1]} in the end<br>%{customdata[2]}<extra></extra>" }];
        }, { barmode: "stack", showlegend: true, xaxis: R.MONTHS(shown.length),
          yaxis: { ticksuffix: " %", rangemode: "tozero", nticks: 6 } });
      },
      note: has ? (hasInterval ? "Lines: the " + R.limit("interval_confidence_percent") + " % interval of the final rate." : "")
        + (shown.some(function (r) { return R.isSmall(r.lines); }) ? " Grey: fewer than "
        + R.limit("report_small_lines") + " lines." : "") : null,
    }, options || {}));
  };

  // ids of the sellers that sold what the filters let through in the window; null: nothing is filtered
  R.soldBy = function (data) {
    if (!["m", "s", "c"].some(R.chosen)) return null;
    var chosen = R.chosen("s");
    var ids = {};
    R.members("s").forEach(function (member) {
      var rate = member.id && (!chosen || chosen.key === member.key) && R.rate(data, { s: member.key });
      if (rate && rate.lines > 0) ids[member.id] = true;
    });
    return ids;
  };
  // alerts about what the filters let through; a product has a category, but any seller or marketplace may sell it
  R.alertsChosen = function (data) {
    var sold = R.soldBy(data);
    if (!sold) return data.alerts.list();
    var m = R.chosen("m"), c = R.chosen("c"), s = R.chosen("s");
    function is(member, name) { return !member || member.id === name; }
    return data.alerts.list().filter(function (row) {
      if (row.entity_type === "seller") return Boolean(sold[row.entity_id]);
      if (s && row.entity_type !== "all") return false;
      if (row.entity_type === "product") return is(c, row.category);
      if (row.entity_type === "category") return is(c, row.entity_id);
      if (row.entity_type === "marketplace") return is(m, row.entity_id);
      if (row.entity_type === "category of a marketplace") {
        return (!m || row.entity_id.indexOf(m.id + " / ") === 0)
          && (!c || row.entity_id.slice(-(" / " + c.id).length) === " / " + c.id);
      }
      return true;
    });
  };

  // isShort: only since when and in which state, where the figures stand beside the list already
  R.alertList = function (content, alerts, options, isShort) {
    var h = R.h;
    // not everything that can be alarming costs money; of drift it is the work, of the pace only the time
    function atRisk(row, before) {
      return row.money_at_risk === null ? "" : before + R.money(row.money_at_risk, row.currency)
        + ({ drift: " of work", labels: " at other times" }[row.monitor] || " at risk");
    }
    // who is on the watch list has no open alert
    var open = alerts.filter(function (row) { return row.status !== "closed" && row.status !== "watch"; });
    var watched = alerts.filter(function (row) { return row.status === "watch"; });
    var closed = alerts.filter(function (row) { return row.status === "closed"; });
    var groups = [[open, 8, "open"], [watched, (options || {}).span === 12 ? 6 : 5, "on the watch list"], [closed, 3, "closed"]];
    // the day up to which nearly all of them count is said once, above
    var newest = alerts.reduce(function (last, row) { return row.window_end > last ? row.window_end : last; }, "");
    var notes = isShort ? ["Alerts are tested once a week, on whole weeks; the figures above count to the last day."] : [
      watched.length ? "Watch: probably too many, not beyond doubt." : "",
      open.concat(watched).some(function (row) { return row.entity_type === "seller"; }) ? "Alerts are tested once a week on whole"
        + " weeks, against the same weeks, marketplace and category; the risk of sellers is counted to the last day, against the same"
        + " goods and customers. Their figures differ by that." : "",
      (options || {}).also || ""];
    function item(row) {
      // of monitoring what is wrong says more than where
      var isMonitoring = row.monitor && row.monitor !== "risk" && row.monitor !== "jumps";
      var page = isMonitoring ? "model" : row.entity_type === "seller" ? "sellers" : null;
      var name = isMonitoring ? [R.words(row.metric),
        row.entity_type === "marketplace" ? [", marketplace ", R.name(row.entity_id, 60)] : null]
        : row.entity_type === "all" ? "The whole source" : [R.words(row.entity_type), " ", R.name(row.entity_id, 60)];
      name = h("span", {}, name);
      var closedOrWatched = row.status === "closed" || row.status === "watch";
      var words = isShort || row.status === "closed"
        ? (row.status === "closed" ? "From " + R.day(row.first_seen_at) + " to " + R.day(row.last_seen_at)
          : (row.status === "watch" ? "On the watch list since " : "Open since ") + R.day(row.first_seen_at)
            + (isShort && row.status === "watch" ? ": probably too many returns, not beyond doubt" : ""))
          + (isShort ? "" : atRisk(row, ", ")) + "."
        : isMonitoring || row.effect_lo === null ? R.cut(R.plain(row.sentence) + ".", 420)
        : R.int(row.observed) + " of " + R.int(row.lines) + " lines of " + R.int(row.window_days)
          + (row.window_end === newest ? " days" : " days up to " + R.day(row.window_end)) + " came back, where "
          + R.num(row.expected, 0) + " were to be expected: chance allowed for, "
          + (row.effect_lo > 1 ? "at least " + R.num(row.effect_lo) + " times as many" : "perhaps no more")
          + atRisk(row, "; ") + ".";
      return h("li", { class: "statement " + (row.status === "closed" ? "info"
        : row.severity === "critical" && row.status !== "watch" ? "bad" : "watch") },
      h("p", { class: "head" }, page && R.hasPage(page)
        ? R.link(name, page === "sellers" ? { s: R.valueOf(row.entity_id) } : {}, page) : name,
      h("span", { class: "tag " + (closedOrWatched ? "" : "bad") }, row.status)),
      h("p", { class: "body" }, words));
    }
    R.card(content, Object.assign({ title: "Alerts", sub: R.plural(open.length, "open alert")
        + (watched.length ? ", " + R.int(watched.length) + " on the watch list" : "")
        + (open.length + watched.length && !isShort ? ", up to " + R.day(newest) : ""), span: 4,
      sql: ["alerts"],
      note: notes.filter(Boolean).join(" ") || null,
      empty: alerts.length ? null : (R.coverage("alerts") || {}).status === "empty" ? R.why("alerts")
        : "No alert in the weeks looked at" + (R.selection() === "everything" ? "." : " is about " + R.selection() + "."),
      table: { rows: alerts, columns: [
        { key: "entity_type", label: "Kind" }, { key: "entity_id", label: "Which" },
        { key: "status", label: "Status" }, { key: "first_seen_at", label: "First seen" },
        { key: "last_seen_at", label: "Last seen" },
        { key: "observed", label: "Returned", number: true, format: R.int },
        { key: "expected", label: "Expected", number: true, format: function (v) { return R.num(v, 1); } },
        { key: "effect", label: "Times as many", number: true, format: R.num },
        { key: "effect_lo", label: "at least", number: true, format: R.num },
        { key: "q_value", label: "q", number: true, format: function (v) { return R.num(v, 3); } },
        { key: "money_at_risk", label: "Money at risk", number: true, format: function (v, r) {
          return R.money(v, r.currency); } },
        { key: "sentence", label: "In words", long: true }] },
      body: function (card) {
        groups.forEach(function (group) {
          var list = h("ul", { class: "statements" });
          var more = h("p", { class: "note" });
          var limit = group[1];
          function fill() {
            group[0].slice(list.childNodes.length, limit).forEach(function (row) { list.appendChild(item(row)); });
            more.textContent = "";
            if (group[0].length <= limit) return;
            R.append(more, [R.int(limit) + " of " + R.int(group[0].length) + " " + group[2] + ". ",
              h("button", { type: "button", class: "plain", onclick: function () {
                limit = group[0].length;
                fill();
              } }, "Show more")]);
          }
          fill();
          if (group[0].length) R.append(card, [list, more]);
        });
      } }, options || {}));
  };
})();
