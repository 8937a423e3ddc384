import numpy as np
import matplotlib.pyplot as plt
import fastlstm
from fastlstm.datasets import load_seattle_weather

def catchment(rain, temperature, sun):
    """Runoff in mm a day: snow that waits, soil that fills and dries, a fast store and a slow one."""
    snow, soil, fast, slow = 0.0, 80.0, 0.0, 20.0
    out = np.empty(len(rain))
    stores=np.empty((len(rain),4))
    for t in range(len(rain)):
        falls = rain[t] if temperature[t] < 0 else 0.0
        melts = min(snow, 3.0 * max(temperature[t], 0.0))
        snow += falls - melts
        water = rain[t] - falls + melts
        passes = water * (soil / 150) ** 2          # the wetter the soil, the more runs off
        soil += water - passes
        passes += max(soil - 150, 0.0); soil=min(soil,150.0)
        soil -= min(soil, 0.25*max(temperature[t]+3, 0.0) * sun[t] * soil / 150)
        fast += 0.7 * passes
        slow += 0.3 * passes
        out[t] = fast / 3 + slow / 40
        fast, slow = fast * (1 - 1 / 3), slow * (1 - 1 / 40)
        stores[t]=snow,soil,fast,slow
    return out,stores
w = load_seattle_weather()
T = (w.temp_max + w.temp_min) / 2 - 7.0
day=(w.date-w.date.astype("datetime64[Y]").astype("datetime64[D]")).astype(int)
sun = 0.5 - 0.4*np.cos(2*np.pi*(day+10)/365.25)
q,st = catchment(w.precipitation.astype(float), T, sun)
f,a=plt.subplots(3,1,figsize=(10,8)); a[0].plot(w.date,q); a[1].plot(w.date,st[:,0]); a[2].plot(w.date,st[:,1]); f.savefig("/tmp/gal/q.png")
print(q.mean(), q.std(), T.min(), T.max(), w.precipitation.mean())
