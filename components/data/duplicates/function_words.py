"""Words that hold sentences together, of the languages most often seen, and those that deny.

What two texts say differs when a word of another kind does. A word that is missing here counts as
one of content, so a text that differs from another by it may be kept beside that one.
"""
# ruff: noqa: RUF001 - the words of other scripts

_FUNCTION_WORDS = """
    a about above according after again against ago all almost along already also although
    always am among an and another any anyone anything are around as at away back be became
    because become been before being below besides between both but by can certain could did do
    does doing done down during each either else enough especially etc even ever every everyone
    everything few following for from further get gets give given go goes going got had has have
    having he hence her here hers herself him himself his how however i if in indeed instead
    into is it its itself just later least less let like likely made mainly make makes many may
    maybe me might mine more moreover most much must my myself near nearly need next now of off
    often on once one only onto or other others otherwise our ours out over own particular per
    perhaps please put quite rather really same say see seem seems several shall she should
    since so some someone something somewhat soon still such take than that the their theirs
    them themselves then there therefore these they thing things this those though through thus
    to together too toward towards under until unto up upon us use used using usually various
    very via was way we well were what whatever when where whether which while who whole whom
    whose why will with within would yes yet you your yours aber alle als also am an auch auf
    aus bei bis da das dass dem den der des die dies diese dieser dieses doch du durch ein eine
    einem einen einer eines er es etwas für hat hatte ich ihr im in ist ja jede jeder kann man
    mehr mit nach noch nur oder sehr sein seine sich sie sind so über um und uns unter vom von
    vor war waren was weil wenn werden wie wir wird wo wurde zu zum zur au aux avec ce ces cette
    comme dans de des du elle elles en est et été être eux il ils je la le les leur leurs lui
    mais même mon nous on ont ou où par plus pour qu que qui sa se ses son sont sur très tu un
    une vous y à al como con cuando del desde donde el ella ellos era es esta este esto está fue
    ha hay la las lo los más me mi muy o para pero por porque que se ser si sobre son su sus
    también un una y ya che chi col come cui da dal dalla degli dei del della delle di e gli ha
    il io la le lo loro ma mi nel nella o per più quale quando quello questa questo se si sono
    su sul tra tutti un una uno às ao aos da das dele do dos e ela ele em essa esse eu foi isso
    mais mas na nas no nos num o os ou para pela pelo por que se sem seu sua são também um uma
    você é aan als bij dat de deze die dit door een en er het hij hun ik in is maar met naar of
    om ook op te tot uit van voor was we wel wordt zich zij zijn zo а бы был была были было в
    вам вас ведь весь во вот все всё вы для до его ее её если есть же за и из или им их к как ко
    когда который ли мы на над нам нас него них но о об он она они оно от по под при с со так
    также там то того тоже только том ты у уже что чтобы эта эти это этот я أن أو إلى التي الذي
    إن ثم على عن في قد كان كانت كل كما ما مع من منذ هذا هذه هو هي و وقد ب ل और इस एक का की के को
    गया ने पर भी में यह ये वह से है हैं हो ही तो था थी
    थे कि जो या उस अपने 的 了 是 在 和 与 及 也 就 都 而
    吗 呢 吧 啊 着 过 之 其 这 那 把 被 让 给 对 从 到 向 于 以 为 个 们
    地 得 很 会 要 有 我 你 他 她 它 の に は を た が で て と し れ さ
    あ る い も な か ら り こ そ ま す
"""

_NEGATIONS = """
    no non not never none nobody nothing nor neither without cannot nicht kein keine keinen
    keinem keiner nie niemals ohne ne pas jamais sans aucun aucune nunca jamás sin ningún
    ninguna mai senza nessuno não nem sem niet geen nooit zonder не нет ни без никогда нельзя لا
    لم لن ليس ليست بدون غير नहीं न मत बिना 不 没 無 无 未 非 勿 别
"""

FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
NEGATIONS = frozenset(_NEGATIONS.split())
